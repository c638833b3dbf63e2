import Clinical

extension DicomHeader {
    /// The whole file in memory.
    public init(_ bytes: [UInt8]) throws(DecodeError) {
        try self.init(size: bytes.count) { offset, count throws(DecodeError) in
            guard offset >= 0, offset < bytes.count, count > 0 else { return [] }
            return Array(bytes[offset..<min(bytes.count, offset + count)])
        }
    }

    /// Reads a header through `read`, which gives at most `count` bytes from `offset` (fewer only at the end).
    ///
    /// Values that nobody needs are stepped over unread; a header without long values needs one read of 16 KiB, and one of 8 bytes
    /// at the file's end.
    /// - Parameter size: of the file, in bytes.
    /// - Throws: `.notRecognised` when it is no DICOM file; what `read` throws.
    public init(
        size: Int, read: @escaping (_ offset: Int, _ count: Int) throws(DecodeError) -> [UInt8]
    ) throws(DecodeError) {
        var scan = DicomScan(size: size, read: read)
        try scan.run()
        let values = scan.values
        let sets =
            values.text(DicomTag.characterSet, sets: [])?.split(separator: "\\", omittingEmptySubsequences: false)
            .map { String($0).trimmed } ?? []
        func text(_ tag: UInt32) -> String? { values.text(tag, sets: sets) }
        sopClass = text(DicomTag.sopClass) ?? text(0x0002_0002)
        sopInstance = text(DicomTag.sopInstance) ?? text(0x0002_0003)
        transferSyntax = scan.transferSyntax
        studyInstance = text(DicomTag.studyInstance)
        seriesInstance = text(DicomTag.seriesInstance)
        modality = text(DicomTag.modality)
        manufacturer = text(DicomTag.manufacturer)
        model = text(DicomTag.modelName)
        serial = text(DicomTag.serialNumber)
        software = text(DicomTag.softwareVersions)
        studyDescription = text(DicomTag.studyDescription)
        seriesDescription = text(DicomTag.seriesDescription)
        frames = text(DicomTag.frames).flatMap { Int($0) }
        rows = values.unsigned(DicomTag.rows, bigEndian: scan.isBigEndian)
        columns = values.unsigned(DicomTag.columns, bigEndian: scan.isBigEndian)
        burnedIn = text(DicomTag.burnedIn).flatMap { ["YES": true, "NO": false][$0.uppercased()] }
        privateElements = scan.privateElements
        pixelOffset = scan.pixelOffset
        isDirectory = sopClass == Self.directoryClass
        isSimulated = [text(DicomTag.patientComments), seriesDescription].contains {
            $0?.contains(DicomECGHeader.simulatedMark) ?? false
        }
        (startText, start) = DicomMoment.first(text)
        let id = scan.patientID(sets: sets)
        claim = IdentityClaim(
            name: text(DicomTag.patientName).flatMap(DicomText.personName),
            sex: ["F": .female, "M": .male, "O": .unknown][text(DicomTag.sex)?.uppercased() ?? ""],
            birthDate: text(DicomTag.birthDate).flatMap(DicomMoment.date),
            age: text(DicomTag.age).flatMap { $0.hasSuffix("Y") ? Int($0.dropLast()) : nil },
            patientID: id.value, issuer: id.issuer)
        ending = try scan.ending()
        bytesRead = scan.bytesRead
        surprises = scan.surprises
        if objectID == nil { surprises.append("its SOP Instance UID is missing or malformed") }
        if transferSyntax == nil { surprises.append("it names no transfer syntax") }
    }
}

/// Dates and times as files write them, the newest form and the one before DICOM 3.
enum DicomMoment {
    /// The first moment that a file states, from the most to the least exact; and as text.
    static func first(_ text: (UInt32) -> String?) -> (String?, LocalTime?) {
        var stated: String?
        let candidates = [
            text(DicomTag.acquisitionDateTime),
            joined(text(DicomTag.acquisitionDate), text(DicomTag.acquisitionTime)),
            joined(text(DicomTag.contentDate), text(DicomTag.contentTime)),
            joined(text(DicomTag.seriesDate), text(DicomTag.seriesTime)),
            joined(text(DicomTag.studyDate), text(DicomTag.studyTime)),
        ]
        for candidate in candidates.compactMap(\.self) {
            if stated == nil { stated = candidate }
            if let time = localTime(candidate) { return (candidate, time) }
        }
        return (stated, nil)
    }

    /// `2026-11-22` of `20261122` or `2026.11.22`; nil for anything else.
    static func date(_ text: String) -> String? {
        let digits = text.filter { $0 != "." && $0 != "-" }
        guard digits.utf8.count == 8, digits.allSatisfy({ "0"..."9" ~= $0 }) else { return nil }
        return "\(digits.prefix(4))-\(digits.dropFirst(4).prefix(2))-\(digits.suffix(2))"
    }

    private static func joined(_ date: String?, _ time: String?) -> String? { date.map { $0 + (time ?? "") } }

    /// `YYYYMMDDHHMMSS` with what old programs put between; a fraction and an offset are left alone.
    private static func localTime(_ text: String) -> LocalTime? {
        let whole = text.prefix { $0 != "+" }
        var digits: [Int] = []
        for (index, character) in whole.enumerated() {
            if let digit = character.wholeNumberValue, character.isASCII {
                digits.append(digit)
            } else if character == "." || character == ":" || character == "-" || character == " " {
                // A fraction: nothing after it counts. A dot between a date's parts comes earlier.
                if digits.count >= 14 || index > 18 { break }
            } else {
                break
            }
        }
        guard digits.count >= 8 else { return nil }
        func number(_ range: Range<Int>) -> Int {
            range.upperBound <= digits.count ? digits[range].reduce(0) { $0 * 10 + $1 } : 0
        }
        // A day without a time of day is no start.
        guard digits.count >= 12 else { return nil }
        return LocalTime(
            year: number(0..<4), month: number(4..<6), day: number(6..<8), hour: number(8..<10),
            minute: number(10..<12), second: number(12..<14))
    }
}

extension String {
    /// Without the padding of DICOM values.
    var trimmed: String {
        var text = self[...]
        while let last = text.unicodeScalars.last, last == " " || last == "\0" { text.unicodeScalars.removeLast() }
        while text.unicodeScalars.first == " " { text.unicodeScalars.removeFirst() }
        return String(text)
    }
}
