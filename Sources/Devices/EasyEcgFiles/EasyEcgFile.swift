import Clinical
import Wire

/// A file of the PC-80B family (devices.md 6.2): named and laid out like SCP-ECG, but its samples are not coded as SCP-ECG
/// says, so no reader of that format may have it.
struct EasyEcgFile {
    enum Model: Equatable {
        /// Heal Force / Creative PC-80B: one lead, pointers from 1, little-endian.
        case pc80b
        /// Heal Force PC-180D: three leads, blocks of 32768 bytes, pointers from 0, partly big-endian.
        case pc180d

        var name: String {
            switch self {
            case .pc80b: "PC-80B"
            case .pc180d: "PC-180D"
            }
        }
    }

    /// Bytes that `model(of:)` needs.
    static let headerSize = 82
    /// Bytes of a PC-180D file.
    static let blockSize = 32768

    var model: Model
    var start: LocalTime?
    var startText: String?
    var patientID: String?
    var simulatedSerial: String?
    var waveform: Waveform
    var notes: [Note] = []

    /// Nil for any other file, real SCP-ECG included: section 0 has exactly the six pointers of the family.
    static func model(of bytes: some Collection<UInt8>) -> Model? {
        let header = Array(bytes.prefix(headerSize))
        guard header.count == headerSize, header[8..<16].elementsEqual([0, 0, 76, 0, 0, 0, 13, 13]) else { return nil }
        let pointers = EasyEcgSection.pointers(header)
        guard pointers.map(\.id) == [0, 1, 2, 3, 6, 9], pointers[0].length == 76 else { return nil }
        switch pointers[0].start {
        case 7 where header[16..<22].elementsEqual("SCPECG".utf8): return .pc80b
        case 6 where header[16..<22].allSatisfy({ $0 == 0 }): return .pc180d
        default: return nil
        }
    }

    init(_ bytes: [UInt8]) throws(ImportError) {
        guard let model = Self.model(of: bytes) else { throw .notRecognised }
        self.model = model
        waveform = Waveform(channels: [], samples: [])
        do {
            switch model {
            case .pc80b: try readPC80B(bytes)
            case .pc180d: try readPC180D(bytes)
            }
        } catch .malformed(_, let text) {
            throw .damaged(text)
        } catch {
            throw .damaged("the file is cut short")
        }
    }

    mutating func surprise(_ text: String) { notes.append(Note(kind: .surprise, text: text)) }

    /// The clock often is not set: then the start is not known, and what the file says is kept as text.
    /// - Parameter yearBytes: where the year's high and low byte are.
    mutating func setStart(date: ArraySlice<UInt8>?, yearBytes: (high: Int, low: Int), time: ArraySlice<UInt8>?) {
        let (date, time) = ((date ?? []).map { Int($0) }, (time ?? []).map { Int($0) })
        guard date.count == 4, time.count == 3 else {
            return surprise("the file has no date and time: start unknown")
        }
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let year = date[yearBytes.high] << 8 | date[yearBytes.low]
        startText = "\(year)-\(two(date[2]))-\(two(date[3])) \(two(time[0])):\(two(time[1])):\(two(time[2]))"
        start = LocalTime(
            year: year, month: date[2], day: date[3], hour: time[0], minute: time[1], second: time[2])
        if year < 2010 {
            start = nil
            surprise("the device's clock was not set (year \(year)): start unknown")
        } else if start == nil {
            surprise("the date in the file is no real date: start unknown")
        }
    }

    /// `SIM` and digits, which our simulators write where real files have nothing.
    static func mark(_ bytes: some Sequence<UInt8>) -> String? {
        let text = Array(bytes.prefix { $0 != 0 })
        guard text.starts(with: "SIM".utf8), text.count > 3,
            text.dropFirst(3).allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return String(decoding: text, as: UTF8.self)
    }
}

/// A section: 16 bytes of header, then data.
struct EasyEcgSection {
    struct Pointer: Equatable {
        var id: UInt16
        var length: Int
        var start: Int
    }

    /// The whole section.
    var bytes: ArraySlice<UInt8>
    var data: ArraySlice<UInt8> { bytes.dropFirst(16) }
    /// The stored checksum's two bytes as they lie in the file.
    var checksum: (UInt8, UInt8) { (bytes[bytes.startIndex], bytes[bytes.startIndex + 1]) }
    /// What the checksum covers.
    var covered: ArraySlice<UInt8> { bytes.dropFirst(2) }

    /// Of section 0, from byte 22.
    static func pointers(_ file: [UInt8]) -> [Pointer] {
        var reader = ByteReader(file)
        var pointers: [Pointer] = []
        guard (try? reader.skip(22)) != nil else { return [] }
        for _ in 0..<6 {
            guard let id = try? reader.littleEndian(UInt16.self), let length = try? reader.littleEndian(UInt32.self),
                let start = try? reader.littleEndian(UInt32.self)
            else { return [] }
            pointers.append(Pointer(id: id, length: Int(length), start: Int(start)))
        }
        return pointers
    }

    /// - Parameter base: 1 where pointers count from 1.
    static func find(_ id: UInt16, in file: [UInt8], base: Int) throws(WireError) -> EasyEcgSection {
        guard let pointer = pointers(file).first(where: { $0.id == id }), pointer.start >= base, pointer.length >= 16
        else {
            throw .malformed(offset: 22, "section \(id) is missing")
        }
        var reader = ByteReader(file)
        try reader.skip(pointer.start - base)
        return EasyEcgSection(bytes: try reader.bytes(pointer.length))
    }

    /// The values of section 1 by tag; stops at the end mark or at rubbish.
    var tags: [UInt8: ArraySlice<UInt8>] {
        var reader = ByteReader(data)
        var tags: [UInt8: ArraySlice<UInt8>] = [:]
        while let tag = try? reader.u8(), tag != 0xFF, let length = try? reader.littleEndian(UInt16.self),
            let value = try? reader.bytes(Int(length))
        {
            tags[tag] = value
        }
        return tags
    }
}
