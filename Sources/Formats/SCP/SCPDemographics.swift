import Clinical
import Wire

/// Section 1: tagged fields about patient, time and device (formats.md 4.2).
struct SCPDemographics {
    private(set) var claim = IdentityClaim()
    private(set) var device = SCPFile.Device()
    private(set) var start: LocalTime?
    private(set) var startText: String?
    private(set) var isCut = false

    init(_ body: ArraySlice<UInt8>) {
        var fields: [UInt8: ArraySlice<UInt8>] = [:]
        var reader = ByteReader(body)
        do {
            while !reader.isAtEnd {
                let tag = try reader.u8()
                let length = Int(try reader.littleEndian(UInt16.self))
                if tag == 255 { break }
                let value = try reader.bytes(length)
                if fields[tag] == nil { fields[tag] = value }
            }
        } catch {
            isCut = true
        }
        func text(_ tag: UInt8) -> String? { fields[tag].flatMap(Self.text) }
        let names = [text(0), text(3), text(1)].compactMap { $0 }
        let sex: Sex? =
            switch fields[8]?.first {
            case 1: .male
            case 2: .female
            default: nil
            }
        claim = IdentityClaim(
            name: names.isEmpty ? nil : names.joined(separator: " "), sex: sex,
            birthDate: fields[5].flatMap(Self.date), age: fields[4].flatMap(Self.years), patientID: text(2))
        if let date = fields[25], let time = fields[26], date.count >= 4, time.count >= 3 {
            let (day, clock) = (Array(date), Array(time))
            let year = Int(day[0]) | Int(day[1]) << 8
            startText = "\(year)-\(day[2])-\(day[3]) \(clock[0]):\(clock[1]):\(clock[2])"
            start = LocalTime(
                year: year, month: Int(day[2]), day: Int(day[3]), hour: Int(clock[0]), minute: Int(clock[1]),
                second: Int(clock[2]))
        }
        if let value = fields[14] { device = Self.device(value) }
    }

    /// Up to the NUL; Latin-1 unless it is UTF-8. Nil when empty.
    static func text(_ bytes: ArraySlice<UInt8>) -> String? {
        var part = bytes.prefix { $0 != 0 }
        while part.first == 0x20 { part.removeFirst() }
        while part.last == 0x20 { part.removeLast() }
        guard !part.isEmpty else { return nil }
        return String(validating: part, as: UTF8.self)
            ?? String(String.UnicodeScalarView(part.map { Unicode.Scalar($0) }))
    }

    private static func date(_ value: ArraySlice<UInt8>) -> String? {
        let bytes = Array(value)
        guard bytes.count >= 4 else { return nil }
        let (year, month, day) = (Int(bytes[0]) | Int(bytes[1]) << 8, Int(bytes[2]), Int(bytes[3]))
        guard (1800...2200).contains(year), (1...12).contains(month), (1...31).contains(day) else { return nil }
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(two(month))-\(two(day))"
    }

    /// Whole years; only a child's age is in smaller units.
    private static func years(_ value: ArraySlice<UInt8>) -> Int? {
        let bytes = Array(value)
        guard bytes.count >= 3 else { return nil }
        let number = Int(bytes[0]) | Int(bytes[1]) << 8
        return switch bytes[2] {
        case 1: number
        case 2: number / 12
        case 3: number / 52
        case 4: number / 365
        case 5: number / 8766
        default: nil
        }
    }

    private static func device(_ value: ArraySlice<UInt8>) -> SCPFile.Device {
        var device = SCPFile.Device()
        device.model = text(value.dropFirst(8).prefix(6))
        // After the program revision come serial number, software, implementation and maker, each with its NUL.
        let tail = value.dropFirst(35)
        guard let length = tail.first else { return device }
        let texts = tail.dropFirst(1 + Int(length)).split(separator: 0, maxSplits: 4, omittingEmptySubsequences: false)
        func item(_ index: Int) -> String? { texts.indices.contains(index) ? text(texts[index]) : nil }
        (device.serial, device.software, device.manufacturer) = (item(0), item(1), item(3))
        return device
    }
}

/// Sections 7 and 8.
enum SCPTexts {
    static func measurements(_ body: ArraySlice<UInt8>) -> SCPFile.Measurements? {
        var reader = ByteReader(body)
        guard (try? reader.skip(2)) != nil, let rr = try? reader.littleEndian(UInt16.self),
            let pp = try? reader.littleEndian(UInt16.self)
        else { return nil }
        func value(_ number: UInt16) -> Int? {
            // 29999 not computed, 29998 rejected, 19999 lead absent.
            number == 0 || [29999, 29998, 19999].contains(number) ? nil : Int(number)
        }
        return SCPFile.Measurements(rrInterval: value(rr), ppInterval: value(pp))
    }

    static func statements(_ body: ArraySlice<UInt8>) -> [String] {
        var reader = ByteReader(body)
        var texts: [String] = []
        do {
            try reader.skip(8)
            for _ in 0..<(try reader.u8()) {
                try reader.skip(1)
                let length = Int(try reader.littleEndian(UInt16.self))
                if let text = SCPDemographics.text(try reader.bytes(length)) { texts.append(text) }
            }
        } catch {
            // What was read until then stands.
        }
        return texts
    }
}
