import Wire

/// Walks a DICOM file's elements up to its pixels, reading only what it keeps. No length is believed before the file's size has
/// been asked; nothing is allocated by a length.
struct DicomScan {
    typealias Read = (_ offset: Int, _ count: Int) throws(DecodeError) -> [UInt8]

    /// One read; also what a value may have to be kept.
    private static let window = 16 << 10
    /// Elements looked at, in all nestings: a header has thousands at most.
    private static let elementLimit = 1_000_000
    private static let depthLimit = 32
    /// Fragments of encapsulated pixels whose lengths are added up to find the end.
    private static let fragmentLimit = 1_000_000

    /// Values of the outermost level, as bytes.
    private(set) var values = DicomValues()
    private(set) var transferSyntax: String?
    private(set) var isBigEndian = false
    private(set) var privateElements = 0
    private(set) var pixelOffset: Int?
    private(set) var bytesRead = 0
    private(set) var surprises: [String] = []
    /// Elements of sequences that are kept, as in the file.
    private var sequences: [UInt8] = []

    /// Compressed bytes that are read for a deflated header, and what may come of them.
    private static let deflatedLimit = 1 << 20
    private static let inflatedLimit = 4 << 20
    /// Of a sequence that is kept whole.
    private static let sequenceLimit = 16 << 10

    private var size: Int
    private let read: Read
    /// A deflated data set, or its beginning: positions count in it then.
    private var inflated: [UInt8]?
    /// The data set goes on behind `inflated`: nobody knows how it ends.
    private var isOpenEnded = false
    private var buffer: [UInt8] = []
    private var base = 0
    private var position = 0
    private var isImplicit = false
    private var elements = 0
    private var isCut = false
    private var pixelLength: UInt32 = 0
    /// Where the pixel element's value begins.
    private var pixelValue = 0

    init(size: Int, read: @escaping Read) {
        self.size = size
        self.read = read
    }

    private enum Stop: Error {
        /// The file ends before what it announces.
        case cut
        /// Not DICOM from here on.
        case nonsense(String)
        case failed(DecodeError)
    }

    mutating func run() throws(DecodeError) {
        do throws(Stop) {
            try begin()
        } catch {
            switch error {
            case .failed(let error): throw error
            case .cut, .nonsense: throw .notRecognised("no DICOM file meta information, and no data set either")
            }
        }
        do throws(Stop) {
            try walk()
        } catch {
            switch error {
            case .failed(let error): throw error
            case .cut: isCut = !isOpenEnded
            case .nonsense(let text):
                surprises.append(text)
                // What is broken in the middle isn't complete.
                if pixelOffset == nil { isCut = true }
            }
        }
    }

    /// Preamble and group 0002, which is always Explicit VR Little Endian.
    private mutating func begin() throws(Stop) {
        let start = try bytes(at: 0, count: min(size, DicomHeader.signatureSize))
        guard DicomHeader.isHeader(Array(start)) else { throw .nonsense("") }
        position = start.count >= 132 && start[128..<132].elementsEqual("DICM".utf8) ? 132 : 0
        if position == 0 { surprises.append("it has no preamble") }
        while position + 8 <= size {
            let mark = position
            let head = try bytes(at: position, count: 8)
            guard head[0] == 2, head[1] == 0 else { break }
            let tag = try element()
            guard let tag, tag.length != DicomParser.undefined else { throw .nonsense("") }
            try keep(tag)
            position = tag.value + Int(tag.length)
            guard position > mark else { throw .nonsense("") }
        }
        transferSyntax = values.text(0x0002_0010, sets: [])
        isBigEndian = transferSyntax == "1.2.840.10008.1.2.2"
        if transferSyntax == "1.2.840.10008.1.2.1.99" {
            try inflate()
            guard size >= 8 else {
                surprises.append("its header is deflated, and can't be read")
                (isCut, position) = (true, size)
                return
            }
        }
        try lookAtFirstElement()
    }

    /// Deflated data sets (PS3.5 A.5) are reports and the like, hardly ever loops: their first megabyte tells enough.
    private mutating func inflate() throws(Stop) {
        var compressed: [UInt8] = []
        while position < size, compressed.count < Self.deflatedLimit {
            let piece = try bytes(at: position, count: min(Self.window, size - position))
            compressed += piece
            position += piece.count
        }
        let content = Inflate.beginning(of: compressed[...], limit: Self.inflatedLimit)
        isOpenEnded = !content.isComplete && (position < size || content.bytes.count == Self.inflatedLimit)
        if isOpenEnded { surprises.append("it is deflated and long: its end was not looked at") }
        isCut = !content.isComplete && !isOpenEnded
        inflated = content.bytes
        (size, position, base, buffer) = (content.bytes.count, 0, 0, [])
    }

    /// Explicit or implicit is what the bytes show; what the file says is often wrong, and never needed.
    private mutating func lookAtFirstElement() throws(Stop) {
        guard position + 8 <= size else { throw .cut }
        let head = try bytes(at: position, count: 8)
        let looksExplicit = DicomScan.representations.contains(UInt16(head[4]) << 8 | UInt16(head[5]))
        isImplicit = !looksExplicit
        if let transferSyntax, isImplicit != (transferSyntax == DicomName.implicitLittleEndian) {
            surprises.append("its elements are not encoded as its transfer syntax says")
        }
        // Big-endian data under another name.
        if !isBigEndian, head[0] == 0, head[1] == 8 {
            isBigEndian = true
            surprises.append("its bytes are not in the order that its transfer syntax says")
        }
    }

    private mutating func walk() throws(Stop) {
        while position < size {
            guard let element = try element() else { return }
            if element.tag == DicomTag.itemEnd || element.tag == DicomTag.sequenceEnd || element.tag == DicomTag.item {
                position = element.value
                continue
            }
            if Self.isPixels(element.tag) {
                pixelOffset = element.start
                pixelLength = element.length
                pixelValue = element.value
                return
            }
            if element.tag == DicomTag.issuerQualifiers || element.tag == DicomTag.otherPatientIDs {
                try keepSequence(element)
                continue
            }
            if (element.tag >> 16).isMultiple(of: 2) { try keep(element) } else { privateElements += 1 }
            try skip(element, depth: 0, isImplicit: isImplicit)
        }
    }

    private static func isPixels(_ tag: UInt32) -> Bool { [0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010].contains(tag) }

    // MARK: Elements

    private struct Element {
        var tag: UInt32
        var start: Int
        /// Where its value begins.
        var value: Int
        var length: UInt32
        var isUnknown: Bool
        var isSequence: Bool
    }

    /// The element at `position`; nil behind the last whole one.
    private mutating func element(isImplicit: Bool? = nil) throws(Stop) -> Element? {
        elements += 1
        guard elements <= Self.elementLimit else { throw .nonsense("it has more elements than a header can have") }
        guard position + 8 <= size else {
            // Less than an element: padding that some programs leave.
            if position < size { throw .cut }
            return nil
        }
        let head = try bytes(at: position, count: min(12, size - position))
        let isMeta = head[0] == 2 && head[1] == 0 && transferSyntax == nil
        let big = isBigEndian && !isMeta
        let tag =
            big
            ? UInt32(head[0]) << 24 | UInt32(head[1]) << 16 | UInt32(head[2]) << 8 | UInt32(head[3])
            : UInt32(head[1]) << 24 | UInt32(head[0]) << 16 | UInt32(head[3]) << 8 | UInt32(head[2])
        func number(_ at: Int, _ count: Int) -> UInt32 {
            let part = head[at..<at + count]
            return big ? part.reduce(0) { $0 << 8 | UInt32($1) } : part.reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        if (isImplicit ?? self.isImplicit) && !isMeta || tag >> 16 == 0xFFFE {
            return Element(
                tag: tag, start: position, value: position + 8, length: number(4, 4), isUnknown: false,
                isSequence: false)
        }
        let letters = UInt16(head[4]) << 8 | UInt16(head[5])
        guard Self.representations.contains(letters) else {
            throw .nonsense("no value representation where one belongs")
        }
        guard Self.long.contains(letters) else {
            return Element(
                tag: tag, start: position, value: position + 8, length: number(6, 2), isUnknown: false,
                isSequence: false)
        }
        guard head.count == 12 else { throw .cut }
        return Element(
            tag: tag, start: position, value: position + 12, length: number(8, 4), isUnknown: letters == 0x554E,
            isSequence: letters == 0x5351)
    }

    /// Steps over an element's value; what has no length is walked.
    private mutating func skip(_ element: Element, depth: Int, isImplicit: Bool) throws(Stop) {
        position = element.value
        guard element.length == DicomParser.undefined else {
            let end = position + Int(element.length)
            guard end <= size else { throw .cut }
            position = end
            return
        }
        guard depth < Self.depthLimit else { throw .nonsense("its sequences are nested too deep") }
        // An unknown element of undefined length is a sequence in Implicit VR (PS3.5 6.2.2 note 4).
        let inner = isImplicit || element.isUnknown
        while true {
            guard let item = try self.element(isImplicit: inner) else { throw .cut }
            position = item.value
            if item.tag == DicomTag.sequenceEnd { return }
            guard item.tag == DicomTag.item else { throw .nonsense("no item where one belongs") }
            if item.length != DicomParser.undefined {
                let end = position + Int(item.length)
                guard end <= size else { throw .cut }
                position = end
                continue
            }
            while true {
                guard let child = try self.element(isImplicit: inner) else { throw .cut }
                if child.tag == DicomTag.itemEnd {
                    position = child.value
                    break
                }
                try skip(child, depth: depth + 1, isImplicit: inner)
            }
        }
    }

    private mutating func keep(_ element: Element) throws(Stop) {
        guard DicomValues.wanted.contains(element.tag), element.length != DicomParser.undefined,
            element.length <= 1024
        else { return }
        guard element.value + Int(element.length) <= size else { throw .cut }
        values.elements[element.tag] = Array(try bytes(at: element.value, count: Int(element.length)))
    }

    /// Its bytes, header included, for `DicomParser`; a longer one than any patient has numbers for is stepped over.
    private mutating func keepSequence(_ element: Element) throws(Stop) {
        try skip(element, depth: 0, isImplicit: isImplicit)
        let length = position - element.start
        guard length <= Self.sequenceLimit else { return }
        sequences += try bytes(at: element.start, count: length)
    }

    /// What `keepSequence` kept, with the patient's own number.
    func patientID(sets: [String]) -> DicomPatientID {
        var reader = ByteReader(sequences)
        var parser = DicomParser(isImplicit: isImplicit, isBigEndian: isBigEndian)
        var dataset = (try? parser.dataset(&reader, sets: sets)) ?? DicomDataset(sets: sets)
        for tag in [DicomTag.patientID, DicomTag.issuerOfPatientID] {
            dataset.elements[tag] = values.elements[tag].map { .bytes($0[...]) }
        }
        return DicomPatientID.best(of: dataset)
    }

    // MARK: The end

    /// Whether the pixels are all there. Encapsulated ones must end with their delimiter (formats.md 2.3).
    mutating func ending() throws(DecodeError) -> DicomHeader.Ending {
        if isCut { return .truncated }
        if isOpenEnded { return .complete }
        guard pixelOffset != nil else { return .complete }
        guard pixelLength == DicomParser.undefined else {
            return pixelValue + Int(pixelLength) <= size ? .complete : .truncated
        }
        let delimiter: [UInt8] = isBigEndian ? [0xFF, 0xFE, 0xE0, 0xDD] : [0xFE, 0xFF, 0xDD, 0xE0]
        if try small(at: size - 8, count: 8).elementsEqual(delimiter + [0, 0, 0, 0]) { return .complete }
        // Something follows the pixels, or they are cut: add up the fragments.
        var position = pixelValue
        for _ in 0..<Self.fragmentLimit {
            let head = Array(try small(at: position, count: 8))
            guard head.count == 8 else { return .truncated }
            if head[..<4].elementsEqual(delimiter) { return .complete }
            guard head[2] == 0x00 && head[3] == 0xE0 || head[2] == 0xE0 && head[3] == 0x00 else { return .truncated }
            let length = head[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
            position += 8 + length
            guard position <= size else { return .truncated }
        }
        return .truncated
    }

    // MARK: Bytes

    private mutating func small(at offset: Int, count: Int) throws(DecodeError) -> [UInt8] {
        guard offset >= 0, offset < size else { return [] }
        if let inflated { return Array(inflated[offset..<min(size, offset + count)]) }
        let got = try read(offset, min(count, size - offset))
        bytesRead += got.count
        return got
    }

    /// Indices begin at 0. Throws `.cut` when the file has less, whatever its size was said to be.
    private mutating func bytes(at offset: Int, count: Int) throws(Stop) -> ArraySlice<UInt8> {
        if let inflated {
            guard offset + count <= inflated.count else { throw .cut }
            return Array(inflated[offset..<offset + count])[...]
        }
        if offset < base || offset + count > base + buffer.count {
            do throws(DecodeError) {
                buffer = try read(offset, min(Self.window, size - offset))
            } catch {
                throw .failed(error)
            }
            bytesRead += buffer.count
            base = offset
            guard buffer.count >= count else { throw .cut }
        }
        return Array(buffer[offset - base..<offset - base + count])[...]
    }

    private static func pair(_ text: String) -> UInt16 { text.utf8.reduce(0) { $0 << 8 | UInt16($1) } }
    private static let long = Set(
        ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"].map(pair))
    private static let representations = long.union(
        [
            "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM",
            "UI", "UL", "US",
        ].map(pair))
}

/// The few values of a header that are kept.
struct DicomValues {
    var elements: [UInt32: [UInt8]] = [:]

    static let wanted: Set<UInt32> = [
        0x0002_0002, 0x0002_0003, 0x0002_0010, DicomTag.characterSet, DicomTag.sopClass, DicomTag.sopInstance,
        DicomTag.studyDate, DicomTag.seriesDate, DicomTag.acquisitionDate, DicomTag.contentDate,
        DicomTag.acquisitionDateTime, DicomTag.studyTime, DicomTag.seriesTime, DicomTag.acquisitionTime,
        DicomTag.contentTime, DicomTag.modality, DicomTag.manufacturer, DicomTag.studyDescription,
        DicomTag.seriesDescription, DicomTag.modelName, DicomTag.patientName, DicomTag.patientID,
        DicomTag.issuerOfPatientID, DicomTag.birthDate, DicomTag.sex, DicomTag.age, DicomTag.patientComments,
        DicomTag.serialNumber, DicomTag.softwareVersions, DicomTag.studyInstance, DicomTag.seriesInstance,
        DicomTag.frames, DicomTag.rows, DicomTag.columns, DicomTag.burnedIn,
    ]

    /// Without padding; nil when missing or empty.
    func text(_ tag: UInt32, sets: [String]) -> String? {
        guard var bytes = elements[tag]?[...] else { return nil }
        while let last = bytes.last, last == 0x20 || last == 0 { bytes.removeLast() }
        let text = DicomText.decode(bytes, sets: sets).trimmed
        return text.isEmpty ? nil : text
    }

    func unsigned(_ tag: UInt32, bigEndian: Bool) -> Int? {
        guard let bytes = elements[tag], bytes.count == 2 || bytes.count == 4 else { return nil }
        return bigEndian ? bytes.reduce(0) { $0 << 8 | Int($1) } : bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}

extension DicomTag {
    static let seriesDate: UInt32 = 0x0008_0021
    static let acquisitionDate: UInt32 = 0x0008_0022
    static let seriesTime: UInt32 = 0x0008_0031
    static let acquisitionTime: UInt32 = 0x0008_0032
    static let studyDescription: UInt32 = 0x0008_1030
    static let frames: UInt32 = 0x0028_0008
    static let rows: UInt32 = 0x0028_0010
    static let columns: UInt32 = 0x0028_0011
    static let burnedIn: UInt32 = 0x0028_0301
}
