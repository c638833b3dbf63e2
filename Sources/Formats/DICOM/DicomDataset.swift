import Wire

/// The elements of a data set that a waveform reader asks for; everything else has been stepped over.
struct DicomDataset {
    enum Value {
        case bytes(ArraySlice<UInt8>)
        case items([DicomDataset])
    }

    var elements: [UInt32: Value] = [:]
    /// The values of Specific Character Set that hold here; an item without its own has those around it.
    var sets: [String] = []

    func bytes(_ tag: UInt32) -> ArraySlice<UInt8>? {
        guard case .bytes(let bytes)? = elements[tag] else { return nil }
        return bytes
    }

    func items(_ tag: UInt32) -> [DicomDataset] {
        guard case .items(let items)? = elements[tag] else { return [] }
        return items
    }

    /// Without padding; nil when missing or empty.
    func text(_ tag: UInt32) -> String? {
        guard var bytes = bytes(tag) else { return nil }
        while let last = bytes.last, last == 0x20 || last == 0 { bytes.removeLast() }
        while bytes.first == 0x20 { bytes.removeFirst() }
        guard !bytes.isEmpty else { return nil }
        let text = DicomText.decode(bytes, sets: sets).trimmed
        return text.isEmpty ? nil : text
    }

    func unsigned(_ tag: UInt32) -> Int? {
        guard let bytes = bytes(tag), bytes.count == 2 || bytes.count == 4 else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}

/// Reads data sets, Implicit or Explicit VR, without believing a length. Values come out little-endian, whatever they were.
struct DicomParser {
    /// Sequences in sequences; real waveform objects need four.
    static let depthLimit = 16
    static let undefined: UInt32 = 0xFFFF_FFFF

    /// What is kept.
    private static let wanted: Set<UInt32> = [
        DicomTag.characterSet, DicomTag.sopClass, DicomTag.acquisitionDateTime, DicomTag.studyDate, DicomTag.studyTime,
        DicomTag.contentDate, DicomTag.contentTime, DicomTag.manufacturer, DicomTag.modelName,
        DicomTag.seriesDescription, DicomTag.patientName, DicomTag.patientID, DicomTag.birthDate, DicomTag.sex,
        DicomTag.age, DicomTag.patientComments, DicomTag.serialNumber, DicomTag.codeValue, DicomTag.codingScheme,
        DicomTag.codeMeaning, DicomTag.channelCount, DicomTag.sampleCount, DicomTag.samplingFrequency,
        DicomTag.groupLabel, DicomTag.channelLabel, DicomTag.channelDerivation, DicomTag.sensitivity,
        DicomTag.correctionFactor, DicomTag.baseline, DicomTag.unformattedText, DicomTag.bitsAllocated,
        DicomTag.interpretation, DicomTag.padding, DicomTag.waveformData, DicomTag.longCodeValue, DicomTag.valueType,
        DicomTag.completionFlag, DicomTag.verificationFlag, DicomTag.numericValue, DicomTag.textValue, DicomTag.uid,
        DicomTag.softwareVersions, DicomTag.issuerOfPatientID, DicomTag.universalEntityID,
        DicomTag.universalEntityIDType, DicomTag.originality, DicomTag.groupTimeOffset, DicomTag.recordInUse,
        DicomTag.referencedFile,
    ]
    /// Sequences that are entered; in Implicit VR nothing else says that they are sequences.
    private static let sequences: Set<UInt32> = [
        DicomTag.waveforms, DicomTag.channelDefinitions, DicomTag.channelSource, DicomTag.sensitivityUnits,
        DicomTag.annotations, DicomTag.content, DicomTag.conceptName, DicomTag.conceptCode, DicomTag.measuredValue,
        DicomTag.measurementUnits, DicomTag.verifyingObservers, DicomTag.issuerQualifiers, DicomTag.otherPatientIDs,
        DicomTag.directoryRecords,
    ]

    var isImplicit: Bool
    /// The retired Explicit VR Big Endian.
    var isBigEndian = false
    /// The bytes ended before the elements did: what was whole until then is there, of waveform data what there is.
    private(set) var isCut = false

    init(isImplicit: Bool, isBigEndian: Bool = false) {
        self.isImplicit = isImplicit
        self.isBigEndian = isBigEndian
    }

    /// - Parameters:
    ///   - stopsAtDelimiter: true inside an item of undefined length.
    ///   - sets: the character sets of what it is in.
    mutating func dataset(
        _ reader: inout ByteReader, stopsAtDelimiter: Bool = false, sets: [String] = [], depth: Int = 0
    ) throws(WireError) -> DicomDataset {
        guard depth <= Self.depthLimit else {
            throw .malformed(offset: reader.offset, "sequences are nested deeper than \(Self.depthLimit)")
        }
        var dataset = DicomDataset(sets: sets)
        do throws(WireError) {
            while !reader.isAtEnd {
                let tag = try Self.tag(&reader, isBigEndian: isBigEndian)
                if tag == DicomTag.itemEnd {
                    try reader.skip(4)
                    if stopsAtDelimiter { return dataset }
                    continue
                }
                try element(tag, &reader, &dataset, depth: depth)
                if isCut { return dataset }
            }
        } catch {
            guard case .truncated = error else { throw error }
            isCut = true
        }
        if stopsAtDelimiter { isCut = true }
        return dataset
    }

    private mutating func element(
        _ tag: UInt32, _ reader: inout ByteReader, _ dataset: inout DicomDataset, depth: Int
    ) throws(WireError) {
        let (representation, length) = try header(&reader, tag: tag)
        let isSequence = representation == "SQ" || (isImplicit && Self.sequences.contains(tag))
        if isSequence || length == Self.undefined {
            // An unknown element of undefined length is a sequence in Implicit VR (PS3.5 6.2.2 note 4).
            var inner = representation == "UN" ? DicomParser(isImplicit: true) : self
            let keeps = Self.sequences.contains(tag)
            let items = try inner.items(&reader, length: length, keeps: keeps, sets: dataset.sets, depth: depth + 1)
            if keeps { dataset.elements[tag] = .items(items) }
            isCut = inner.isCut
            return
        }
        // Half a number or name is none; half of the samples are half of the samples.
        isCut = Int(length) > reader.remaining
        guard !isCut || tag == DicomTag.waveformData else { return }
        let bytes = try reader.bytes(min(Int(length), reader.remaining))
        guard Self.wanted.contains(tag) else { return }
        dataset.elements[tag] = .bytes(isBigEndian ? Self.swapped(bytes, representation) : bytes)
        if tag == DicomTag.characterSet {
            dataset.sets = String(decoding: bytes, as: UTF8.self)
                .split(separator: "\\", omittingEmptySubsequences: false).map { String($0).trimmed }
        }
    }

    private func header(_ reader: inout ByteReader, tag: UInt32) throws(WireError) -> (String, UInt32) {
        guard !isImplicit else { return ("", try reader.littleEndian()) }
        let letters = try reader.bytes(2)
        guard letters.allSatisfy({ (0x41...0x5A).contains($0) }) else {
            throw .malformed(offset: reader.offset, "no value representation where one belongs")
        }
        let representation = String(decoding: letters, as: UTF8.self)
        if ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"].contains(representation) {
            try reader.skip(2)
            return (representation, try number(&reader))
        }
        let length: UInt16 = try number(&reader)
        return (representation, UInt32(length))
    }

    private func number<T: FixedWidthInteger>(_ reader: inout ByteReader) throws(WireError) -> T {
        isBigEndian ? try reader.bigEndian() : try reader.littleEndian()
    }

    /// 32-bit samples travel as OW too, and then word by word, as dcmtk writes them.
    private static func swapped(_ bytes: ArraySlice<UInt8>, _ representation: String) -> ArraySlice<UInt8> {
        let width =
            switch representation {
            case "US", "SS", "OW", "AT": 2
            case "UL", "SL", "FL", "OL", "OF": 4
            case "FD", "SV", "UV", "OD", "OV": 8
            default: 1
            }
        guard width > 1 else { return bytes }
        var swapped: [UInt8] = []
        swapped.reserveCapacity(bytes.count)
        for start in stride(from: bytes.startIndex, to: bytes.endIndex, by: width) {
            swapped += bytes[start..<min(start + width, bytes.endIndex)].reversed()
        }
        return swapped[...]
    }

    /// The items of a sequence, or the fragments of encapsulated data. What nobody asks for is stepped over unread where
    /// its length allows it.
    private mutating func items(
        _ reader: inout ByteReader, length: UInt32, keeps: Bool, sets: [String], depth: Int
    ) throws(WireError) -> [DicomDataset] {
        guard length != Self.undefined else {
            return try items(&reader, isOpen: true, keeps: keeps, sets: sets, depth: depth)
        }
        let isShort = Int(length) > reader.remaining
        var inner = ByteReader(try reader.bytes(min(Int(length), reader.remaining)))
        let items = keeps ? try items(&inner, isOpen: false, keeps: true, sets: sets, depth: depth) : []
        if isShort { isCut = true }
        return items
    }

    private mutating func items(
        _ reader: inout ByteReader, isOpen: Bool, keeps: Bool, sets: [String], depth: Int
    ) throws(WireError) -> [DicomDataset] {
        var items: [DicomDataset] = []
        while isOpen || !reader.isAtEnd {
            let tag: UInt32
            let length: UInt32
            do throws(WireError) {
                tag = try Self.tag(&reader, isBigEndian: isBigEndian)
                length = try number(&reader)
            } catch {
                guard case .truncated = error else { throw error }
                isCut = true
                return items
            }
            switch tag {
            case DicomTag.sequenceEnd:
                if isOpen { return items }
            case DicomTag.item where length == Self.undefined:
                let item = try dataset(&reader, stopsAtDelimiter: true, sets: sets, depth: depth)
                if keeps { items.append(item) }
            case DicomTag.item:
                let isShort = Int(length) > reader.remaining
                var inner = ByteReader(try reader.bytes(min(Int(length), reader.remaining)))
                if keeps { items.append(try dataset(&inner, sets: sets, depth: depth)) }
                if isShort { isCut = true }
            default:
                throw .malformed(offset: reader.offset, "no item where one belongs")
            }
            if isCut { return items }
        }
        return items
    }

    static func tag(_ reader: inout ByteReader, isBigEndian: Bool) throws(WireError) -> UInt32 {
        let group: UInt16 = try isBigEndian ? reader.bigEndian() : reader.littleEndian()
        let element: UInt16 = try isBigEndian ? reader.bigEndian() : reader.littleEndian()
        return UInt32(group) << 16 | UInt32(element)
    }
}
