import Clinical
import Wire

/// One observation of one object, taken apart: values, states, samples, a time stamp (phdc.md 8.2). Whatever isn't
/// understood is in `unknown` or `problems`.
struct PhdcObservation: Sendable {
    struct Value: Sendable, Equatable {
        /// Nil when the object's type isn't known.
        var code: PhdcCode?
        var number: PhdcNumber
        var unit: UInt16?
        /// MeasurementStatus.
        var status: UInt16
    }

    /// Of an Enumeration.
    struct State: Sendable, Equatable {
        var code: PhdcCode?
        /// `8000: lead wire off`
        var text: String
        /// MeasurementStatus: what is invalid is no finding.
        var status: UInt16
    }

    enum Stamp: Sendable, Equatable {
        case absolute([UInt8])
        /// Ticks of 125 µs.
        case relative(UInt32)
        /// Microseconds.
        case highResolution(UInt64)
        case baseOffset([UInt8])

        var isCalendar: Bool {
            switch self {
            case .absolute, .baseOffset: true
            case .relative, .highResolution: false
            }
        }
    }

    var values: [Value] = []
    var states: [State] = []
    /// Of a sample array, without a length in front.
    var samples: [UInt8]?
    var stamp: Stamp?
    var unknown: [PhdcAttribute] = []
    /// In words, for the notes.
    var problems: [String] = []
    /// Static attributes that the report changes from now on.
    var changes: [PhdcAttribute] = []

    private var status: UInt16 = 0

    /// - Parameter attributes: in the order of the report.
    init(_ attributes: [PhdcAttribute], of object: PhdcObject) {
        var object = object
        // A report may say what its value is of; the configuration may have said it before (phdc.md 7.2).
        var metricID = object.attributes[id: PhdcAttributeID.metricID]?.u16
        var partition = object.attributes[id: PhdcAttributeID.metricPartition]?.u16
        // What describes the values comes first, wherever it stands.
        for attribute in attributes {
            switch attribute.id {
            case PhdcAttributeID.unit, PhdcAttributeID.unitLabel, PhdcAttributeID.type, PhdcAttributeID.valueMap,
                PhdcAttributeID.supplementalTypes, PhdcAttributeID.source, PhdcAttributeID.metricIDs,
                PhdcAttributeID.specification, PhdcAttributeID.label, PhdcAttributeID.samplePeriod,
                PhdcAttributeID.arraySpecification, PhdcAttributeID.scale8, PhdcAttributeID.scale16,
                PhdcAttributeID.scale32:
                object.set(attribute)
                changes.append(attribute)
            case PhdcAttributeID.metricID:
                metricID = attribute.u16 ?? metricID
                changes.append(attribute)
            case PhdcAttributeID.metricPartition:
                partition = attribute.u16 ?? partition
                changes.append(attribute)
            case PhdcAttributeID.status: status = attribute.u16 ?? 0
            default: break
            }
        }
        let home = partition ?? object.type?.partition
        let code = (metricID ?? object.type?.code).flatMap { code in home.map { PhdcCode($0, code) } }
        for attribute in attributes { take(attribute, object, code, home) }
    }

    private mutating func take(
        _ attribute: PhdcAttribute, _ object: PhdcObject, _ code: PhdcCode?, _ partition: UInt16?
    ) {
        do {
            var reader = ByteReader(attribute.value)
            switch attribute.id {
            case PhdcAttributeID.basicValue: add(code, PhdcNumber(sfloat: try reader.bigEndian()), object.unit)
            case PhdcAttributeID.simpleValue: add(code, PhdcNumber(float: try reader.bigEndian()), object.unit)
            case PhdcAttributeID.value: try addObserved(&reader, partition)
            case PhdcAttributeID.compound:
                _ = try reader.sequence { element throws(WireError) in try addObserved(&element, partition) }
            case PhdcAttributeID.basicCompound:
                let numbers = try reader.sequence { element throws(WireError) in
                    PhdcNumber(sfloat: try element.bigEndian())
                }
                addCompound(numbers, object, code)
            case PhdcAttributeID.simpleCompound:
                let numbers = try reader.sequence { element throws(WireError) in
                    PhdcNumber(float: try element.bigEndian())
                }
                addCompound(numbers, object, code)
            case PhdcAttributeID.samples:
                samples = bareSamples(reader.rest(), object)
            case PhdcAttributeID.enumerationCode: addState(code, choice: 1, try reader.bytes(2))
            case PhdcAttributeID.enumerationText: addState(code, choice: 2, reader.rest())
            case PhdcAttributeID.bits16: addState(code, choice: 16, try reader.bytes(2))
            case PhdcAttributeID.bits32: addState(code, choice: 16, try reader.bytes(4))
            case PhdcAttributeID.enumeration: try addEnumeration(&reader, partition)
            // One oximeter names the clock's attribute in its map where it means the stamp's.
            case PhdcAttributeID.timeStamp, PhdcAttributeID.dateAndTime:
                stamp = .absolute(Array(try reader.bytes(8)))
            case PhdcAttributeID.baseOffsetStamp: stamp = .baseOffset(Array(try reader.bytes(8)))
            case PhdcAttributeID.relativeStamp: if stamp == nil { stamp = .relative(try reader.bigEndian()) }
            case PhdcAttributeID.highResolutionStamp:
                if stamp == nil { stamp = .highResolution(try reader.bigEndian()) }
            case PhdcAttributeID.metricID, PhdcAttributeID.metricPartition, PhdcAttributeID.status: return
            default:
                if !changes.contains(attribute) { unknown.append(attribute) }
                return
            }
            if !reader.isAtEnd, stampWasNotTakenTwice(attribute.id) { problems.append(Self.surplus(attribute)) }
        } catch {
            problems.append("attribute \(phdcHexadecimal(attribute.id)) can't be read: \(Self.shown(attribute.value))")
        }
    }

    /// A second stamp of another clock is only left unread because there is a better one.
    private func stampWasNotTakenTwice(_ id: UInt16) -> Bool {
        id != PhdcAttributeID.relativeStamp && id != PhdcAttributeID.highResolutionStamp
    }

    private static func surplus(_ attribute: PhdcAttribute) -> String {
        "attribute \(phdcHexadecimal(attribute.id)) is longer than its value: \(shown(attribute.value))"
    }

    static func shown(_ bytes: some Collection<UInt8>) -> String {
        phdcHexadecimal(bytes.prefix(64)) + (bytes.count > 64 ? " … (\(bytes.count) bytes)" : "")
    }

    private mutating func add(_ code: PhdcCode?, _ number: PhdcNumber, _ unit: UInt16?) {
        values.append(Value(code: code, number: number, unit: unit, status: status))
    }

    private mutating func addObserved(_ reader: inout ByteReader, _ partition: UInt16?) throws(WireError) {
        let code: UInt16 = try reader.bigEndian()
        let status: UInt16 = try reader.bigEndian()
        let unit: UInt16 = try reader.bigEndian()
        let number = PhdcNumber(float: try reader.bigEndian())
        values.append(
            Value(
                code: partition.map { PhdcCode($0, code) }, number: number, unit: unit,
                status: status | self.status))
    }

    private mutating func addCompound(_ numbers: [PhdcNumber], _ object: PhdcObject, _ code: PhdcCode?) {
        var components = object.components ?? []
        // Systolic, diastolic, mean, in this order (phdc.md 12.2).
        if components.isEmpty, code == PhdcCode(PhdcCode.scada, 0x4A04), numbers.count == 3 {
            components = [0x4A05, 0x4A06, 0x4A07]
        }
        if components.count != numbers.count {
            problems.append("\(numbers.count) components, \(components.count) are known")
        }
        for (index, number) in numbers.enumerated() {
            let component =
                index < components.count ? code.map { PhdcCode($0.partition, components[index]) } : nil
            add(component, number, object.unit)
        }
    }

    private mutating func addEnumeration(_ reader: inout ByteReader, _ partition: UInt16?) throws(WireError) {
        let code: UInt16 = try reader.bigEndian()
        let status: UInt16 = try reader.bigEndian()
        let choice: UInt16 = try reader.bigEndian()
        addState(
            partition.map { PhdcCode($0, code) }, choice: choice, try reader.octets(), status: status | self.status)
    }

    private mutating func addState(
        _ code: PhdcCode?, choice: UInt16, _ raw: ArraySlice<UInt8>, status: UInt16? = nil
    ) {
        let bytes = Array(raw)
        let text: String
        switch (choice, bytes.count) {
        case (1, 2):
            let value = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
            let name = code.flatMap { PhdcNomenclature.value(value, of: $0) }
            text = name.map { "\(value): \($0)" } ?? "\(value)"
        case (2, _):
            // With or without a length in front; vendors write what they like here, possibly a name: not repeated.
            text = "a text of \(bytes.count) bytes"
        case (16, 2), (16, 4):
            let names = code.map(PhdcNomenclature.bits) ?? [:]
            let set = (0..<bytes.count * 8).filter { bytes[$0 / 8] & 0x80 >> ($0 % 8) != 0 }
            let raw = phdcHexadecimal(bytes).filter { $0 != " " }
            text = raw + (set.isEmpty ? ": none" : ": " + set.map { names[$0] ?? "bit \($0)" }.joined(separator: ", "))
        default: text = "choice \(choice), \(Self.shown(bytes))"
        }
        states.append(State(code: code, text: text, status: status ?? self.status))
    }

    /// Both encodings of a sample array exist: with its length in front, and bare (phdc.md 8.3).
    private mutating func bareSamples(_ raw: ArraySlice<UInt8>, _ object: PhdcObject) -> [UInt8] {
        let bytes = Array(raw)
        let prefix = bytes.count >= 2 ? Int(bytes[0]) << 8 | Int(bytes[1]) : nil
        let expected = PhdcArraySpecification(object).map(\.bytes)
        if bytes.count == expected, prefix != bytes.count - 2 { return bytes }
        if prefix == bytes.count - 2 {
            if let expected, expected != bytes.count - 2 {
                problems.append("\(bytes.count - 2) bytes of samples instead of \(expected)")
            }
            return Array(bytes[2...])
        }
        if bytes.count != expected { problems.append("\(bytes.count) bytes of samples, without a length") }
        return bytes
    }

    // MARK: Fixed data

    /// Cuts the data of a fixed report into attributes, as the map says. A stamp that the map forgot is found.
    /// - Returns: the attributes, and what was not as announced.
    static func split(_ data: [UInt8], _ map: [PhdcMapEntry]) -> (attributes: [PhdcAttribute], problems: [String]) {
        var reader = ByteReader(data)
        var attributes: [PhdcAttribute] = []
        for entry in map {
            guard let value = try? reader.bytes(Int(entry.length)) else {
                return (attributes, ["\(data.count) bytes are less than the map says: \(shown(data))"])
            }
            attributes.append(PhdcAttribute(entry.attribute, Array(value)))
        }
        let rest = Array(reader.rest())
        guard !rest.isEmpty else { return (attributes, []) }
        let stamped = attributes.contains { isStamp($0.id) }
        if rest.count == 8, !stamped, PhdcClock.absolute(rest) != nil {
            attributes.append(PhdcAttribute(PhdcAttributeID.timeStamp, rest))
            return (attributes, ["a time stamp that the map does not announce"])
        }
        return (attributes, ["\(rest.count) bytes more than the map says: \(shown(rest))"])
    }

    static func isStamp(_ id: UInt16) -> Bool {
        [
            PhdcAttributeID.timeStamp, PhdcAttributeID.dateAndTime, PhdcAttributeID.relativeStamp,
            PhdcAttributeID.highResolutionStamp, PhdcAttributeID.baseOffsetStamp,
        ].contains(id)
    }
}
