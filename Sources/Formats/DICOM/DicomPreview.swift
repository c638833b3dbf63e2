/// The first picture of a DICOM image, small, for a list on a screen. Never for diagnosis: nothing is windowed or calibrated.
///
/// Read are pictures with 8 bits a sample, uncompressed (PS3.5 A.1, A.2), and JPEG baseline (PS3.5 A.4.1), whose first frame is handed
/// on as it is. Everything else has no preview. Tolerant: what is cut or wrong gives nil, and no length is believed.
public enum DicomPreview {
    public enum Picture: Sendable, Equatable {
        /// A JPEG file.
        case jpeg([UInt8])
        /// A Windows bitmap, 24 bits a pixel: every browser shows it, and writing it needs no compressor.
        case bitmap([UInt8])
    }

    /// - Parameters:
    ///   - file: a Part 10 file, or as much of its beginning as holds the first picture.
    ///   - width: pixels at most of a bitmap; made by leaving pixels out.
    public static func picture(of file: [UInt8], width: Int = 320) -> Picture? {
        guard width > 0, file.count > 132, file[128..<132].elementsEqual("DICM".utf8) else { return nil }
        var walk = Walk(file: file)
        guard let pixels = walk.pixels() else { return nil }
        switch pixels {
        case .frame(let bytes):
            // Start of image, and somewhere behind it a baseline frame: nothing else is shown by a browser.
            guard bytes.starts(with: [0xFF, 0xD8, 0xFF]) else { return nil }
            return .jpeg(Array(bytes))
        case .native(let bytes): return bitmap(bytes, walk, width: width)
        }
    }

    private static func bitmap(_ pixels: ArraySlice<UInt8>, _ walk: Walk, width: Int) -> Picture? {
        let (rows, columns, samples) = (walk.rows, walk.columns, walk.samples)
        guard walk.bits == 8, rows > 0, columns > 0, samples == 1 || samples == 3,
            pixels.count >= rows * columns * samples
        else { return nil }
        let isInverse = walk.photometric == "MONOCHROME1"
        guard isInverse || walk.photometric == "MONOCHROME2" || walk.photometric == "RGB" else { return nil }
        let step = (columns + width - 1) / width
        let (outColumns, outRows) = (columns / step, rows / step)
        guard outColumns > 0, outRows > 0 else { return nil }
        let stride = (outColumns * 3 + 3) / 4 * 4
        let size = 54 + stride * outRows
        var out: [UInt8] = []
        out.reserveCapacity(size)
        func put(_ value: Int, _ bytes: Int) {
            for shift in 0..<bytes { out.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
        }
        out += Array("BM".utf8)
        for (value, bytes) in [(size, 4), (0, 4), (54, 4), (40, 4), (outColumns, 4), (outRows, 4), (1, 2), (24, 2)] {
            put(value, bytes)
        }
        for value in [0, stride * outRows, 2835, 2835, 0, 0] { put(value, 4) }
        let plane = rows * columns
        // A bitmap begins with its lowest row, and each pixel with blue.
        for row in (0..<outRows).reversed() {
            for column in 0..<outColumns {
                let place = row * step * columns + column * step
                for sample in [2, 1, 0] {
                    let index =
                        samples == 1 ? place : walk.isPlanar ? sample * plane + place : place * 3 + sample
                    let value = pixels[pixels.startIndex + index]
                    out.append(isInverse ? 255 - value : value)
                }
            }
            for _ in 0..<(stride - outColumns * 3) { out.append(0) }
        }
        return .bitmap(out)
    }
}

/// Goes through the elements of a little-endian data set to its pixels.
private struct Walk {
    enum Pixels {
        case native(ArraySlice<UInt8>)
        /// The first frame of compressed ones.
        case frame([UInt8])
    }

    let file: [UInt8]
    private(set) var rows = 0
    private(set) var columns = 0
    private(set) var samples = 1
    private(set) var bits = 0
    private(set) var isPlanar = false
    private(set) var photometric = ""
    private var syntax = ""
    private var position = 132

    private static let undefined = 0xFFFF_FFFF
    private static let longForms: Set<String> = [
        "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV",
    ]

    init(file: [UInt8]) { self.file = file }

    mutating func pixels() -> Pixels? {
        // Group 0002 is always explicit.
        while let group = number(at: position, 2), group == 2 {
            guard let element = header(isImplicit: false), element.length != Self.undefined else { return nil }
            if element.tag == 0x0002_0010 { syntax = text(element) }
            guard advance(element) else { return nil }
        }
        guard syntax != "1.2.840.10008.1.2.2", syntax != "1.2.840.10008.1.2.1.99" else { return nil }
        let isImplicit = syntax == "1.2.840.10008.1.2"
        while let element = header(isImplicit: isImplicit) {
            switch element.tag {
            case 0x0028_0002: samples = value(element)
            case 0x0028_0004: photometric = text(element)
            case 0x0028_0006: isPlanar = value(element) == 1
            case 0x0028_0010: rows = value(element)
            case 0x0028_0011: columns = value(element)
            case 0x0028_0100: bits = value(element)
            case 0x7FE0_0010: return content(element)
            default: break
            }
            let isSkipped =
                element.length == Self.undefined ? skipItems(isImplicit: isImplicit, depth: 0) : advance(element)
            guard isSkipped else { return nil }
        }
        return nil
    }

    private func content(_ element: Element) -> Pixels? {
        guard element.length == Self.undefined else {
            // Of a loop, as much as is here: the first picture is enough.
            return .native(file[min(element.value, file.count)..<min(file.count, element.value + element.length)])
        }
        guard syntax == "1.2.840.10008.1.2.4.50" else { return nil }
        var place = element.value
        var frame: [UInt8] = []
        var isTable = true
        while number(at: place, 4) == 0xE000_FFFE, let length = number(at: place + 4, 4),
            place + 8 + length <= file.count
        {
            let fragment = file[place + 8..<place + 8 + length]
            place += 8 + length
            if isTable {
                // The first item says where frames begin, or is empty.
                isTable = false
                continue
            }
            if !frame.isEmpty, fragment.starts(with: [0xFF, 0xD8]) { return .frame(frame) }
            frame += fragment
        }
        // One that goes on behind what is here is none: it ends with the sequence, or by its own mark.
        let isWhole = number(at: place, 4) == 0xE0DD_FFFE || frame.suffix(3).contains(0xD9)
        return isWhole && !frame.isEmpty ? .frame(frame) : nil
    }

    private struct Element {
        var tag: Int
        var value: Int
        var length: Int
    }

    private func number(at place: Int, _ bytes: Int) -> Int? {
        guard place >= 0, place + bytes <= file.count else { return nil }
        return (0..<bytes).reduce(0) { $0 | Int(file[place + $1]) << (8 * $1) }
    }

    private mutating func header(isImplicit: Bool) -> Element? {
        guard let group = number(at: position, 2), let number = number(at: position + 2, 2) else { return nil }
        let tag = group << 16 | number
        if isImplicit || group == 0xFFFE {
            guard let length = self.number(at: position + 4, 4) else { return nil }
            position += 8
            return Element(tag: tag, value: position, length: length)
        }
        guard position + 8 <= file.count else { return nil }
        let representation = String(decoding: file[position + 4..<position + 6], as: UTF8.self)
        let isLong = Self.longForms.contains(representation)
        guard let length = self.number(at: position + (isLong ? 8 : 6), isLong ? 4 : 2) else { return nil }
        position += isLong ? 12 : 8
        return Element(tag: tag, value: position, length: length)
    }

    /// Over the value; false when the file ends before.
    private mutating func advance(_ element: Element) -> Bool {
        guard element.length <= file.count - element.value else { return false }
        position = element.value + element.length
        return true
    }

    /// Over a sequence of undefined length, to behind its end.
    private mutating func skipItems(isImplicit: Bool, depth: Int) -> Bool {
        guard depth < 16 else { return false }
        while let item = header(isImplicit: isImplicit) {
            if item.tag == 0xFFFE_E0DD { return true }
            guard item.tag == 0xFFFE_E000 else { return false }
            if item.length != Self.undefined {
                guard advance(item) else { return false }
                continue
            }
            inside: while true {
                guard let element = header(isImplicit: isImplicit) else { return false }
                if element.tag == 0xFFFE_E00D { break inside }
                let isSkipped =
                    element.length == Self.undefined
                    ? skipItems(isImplicit: isImplicit, depth: depth + 1) : advance(element)
                guard isSkipped else { return false }
            }
        }
        return false
    }

    private func value(_ element: Element) -> Int { element.length >= 2 ? number(at: element.value, 2) ?? 0 : 0 }

    private func text(_ element: Element) -> String {
        guard element.length <= 64, element.value + element.length <= file.count else { return "" }
        let bytes = file[element.value..<element.value + element.length].filter { $0 > 0x20 }
        return String(decoding: bytes, as: UTF8.self)
    }
}
