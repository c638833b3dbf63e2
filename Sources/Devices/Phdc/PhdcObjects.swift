import Wire

/// A partition and a code of the 11073-10101 nomenclature.
struct PhdcCode: Sendable, Hashable, CustomStringConvertible {
    static let scada: UInt16 = 2
    static let phd: UInt16 = 128

    var partition: UInt16
    var code: UInt16

    init(_ partition: UInt16, _ code: UInt16) {
        self.partition = partition
        self.code = code
    }

    var description: String { "MDC \(partition):\(code)" }
}

/// Attribute ids (phdc.md 7.2); those that are only kept have no name here.
enum PhdcAttributeID {
    static let confirmTimeout: UInt16 = 0x0914
    static let handle: UInt16 = 0x0921
    static let instance: UInt16 = 0x0922
    static let label: UInt16 = 0x0927
    static let model: UInt16 = 0x0928
    static let metricID: UInt16 = 0x092B
    static let production: UInt16 = 0x092D
    static let type: UInt16 = 0x092F
    static let status: UInt16 = 0x0947
    static let compound: UInt16 = 0x094B
    static let value: UInt16 = 0x0950
    static let operationalState: UInt16 = 0x0953
    static let arraySpecification: UInt16 = 0x096D
    static let scale16: UInt16 = 0x096F
    static let scale32: UInt16 = 0x0970
    static let scale8: UInt16 = 0x0971
    static let segmentUsage: UInt16 = 0x097B
    static let systemID: UInt16 = 0x0984
    static let dateAndTime: UInt16 = 0x0987
    static let samplePeriod: UInt16 = 0x098D
    static let relativeTime: UInt16 = 0x098F
    static let timeStamp: UInt16 = 0x0990
    static let relativeStamp: UInt16 = 0x0991
    static let segmentStart: UInt16 = 0x0992
    static let segmentEnd: UInt16 = 0x098A
    static let segmentEndBaseOffset: UInt16 = 0x0A84
    static let unit: UInt16 = 0x0996
    static let unitLabel: UInt16 = 0x0999
    static let enumeration: UInt16 = 0x099E
    static let highResolutionTime: UInt16 = 0x09E8
    static let highResolutionStamp: UInt16 = 0x09E9
    static let configurationID: UInt16 = 0x0A44
    static let specification: UInt16 = 0x0A46
    static let source: UInt16 = 0x0A47
    static let samples: UInt16 = 0x0A48
    static let enumerationCode: UInt16 = 0x0A49
    static let enumerationText: UInt16 = 0x0A4A
    static let basicValue: UInt16 = 0x0A4C
    static let segmentMap: UInt16 = 0x0A4E
    static let segmentPerson: UInt16 = 0x0A4F
    static let scannerMap: UInt16 = 0x0A53
    static let valueMap: UInt16 = 0x0A55
    static let simpleValue: UInt16 = 0x0A56
    static let systemSpecifications: UInt16 = 0x0A5A
    static let metricPartition: UInt16 = 0x0A5F
    static let supplementalTypes: UInt16 = 0x0A61
    static let timeAdjustment: UInt16 = 0x0A62
    static let transferTimeout: UInt16 = 0x0A64
    static let bits32: UInt16 = 0x0A65
    static let bits16: UInt16 = 0x0A66
    static let simpleCompound: UInt16 = 0x0A74
    static let basicCompound: UInt16 = 0x0A75
    static let metricIDs: UInt16 = 0x0A76
    static let dateAndTimeBaseOffset: UInt16 = 0x0A81
    static let baseOffsetStamp: UInt16 = 0x0A82
    static let segmentStartBaseOffset: UInt16 = 0x0A83
}

/// Object classes (phdc.md 7.1).
enum PhdcClass {
    static let enumeration: UInt16 = 0x0005
    static let numeric: UInt16 = 0x0006
    static let array: UInt16 = 0x0009
    static let episodicScanner: UInt16 = 0x0012
    static let periodicScanner: UInt16 = 0x0013
    static let store: UInt16 = 0x003D

    static func isScanner(_ kind: UInt16) -> Bool { (0x0010...0x0013).contains(kind) }
}

/// One entry of an Attribute-Value-Map.
struct PhdcMapEntry: Sendable, Equatable {
    var attribute: UInt16
    var length: UInt16
}

/// An object of a configuration: its static attributes, changed by what later reports say of them.
struct PhdcObject: Sendable, Equatable {
    var kind: UInt16
    var handle: UInt16
    var attributes: [PhdcAttribute]

    init(kind: UInt16, handle: UInt16, attributes: [PhdcAttribute]) {
        self.kind = kind
        self.handle = handle
        self.attributes = attributes
    }

    var type: PhdcCode? {
        guard let value = attributes[id: PhdcAttributeID.type]?.u32 else { return nil }
        return PhdcCode(UInt16(value >> 16), UInt16(value & 0xFFFF))
    }

    var unit: UInt16? { attributes[id: PhdcAttributeID.unit]?.u16 }

    var map: [PhdcMapEntry]? {
        attributes[id: PhdcAttributeID.valueMap].flatMap { attribute in
            var reader = ByteReader(attribute.value)
            return try? reader.valueMap()
        }
    }

    /// Of a scanner: which values of which objects make up a grouped report.
    var scannerMap: [(handle: UInt16, map: [PhdcMapEntry])]? {
        attributes[id: PhdcAttributeID.scannerMap].flatMap { attribute in
            var reader = ByteReader(attribute.value)
            return try? reader.sequence { element throws(WireError) in
                (try element.bigEndian(), try element.valueMap())
            }
        }
    }

    /// Of a compound: what its components are.
    var components: [UInt16]? {
        attributes[id: PhdcAttributeID.metricIDs].flatMap { attribute in
            var reader = ByteReader(attribute.value)
            return try? reader.codes()
        }
    }

    var supplementalTypes: [PhdcCode] {
        guard let attribute = attributes[id: PhdcAttributeID.supplementalTypes] else { return [] }
        var reader = ByteReader(attribute.value)
        return
            (try? reader.sequence { element throws(WireError) in
                PhdcCode(try element.bigEndian(), try element.bigEndian())
            }) ?? []
    }

    /// Takes over a changed attribute; true when it was another value.
    @discardableResult
    mutating func set(_ attribute: PhdcAttribute) -> Bool {
        guard let index = attributes.firstIndex(where: { $0.id == attribute.id }) else {
            attributes.append(attribute)
            return true
        }
        defer { attributes[index] = attribute }
        return attributes[index] != attribute
    }
}

extension ByteReader {
    mutating func valueMap() throws(WireError) -> [PhdcMapEntry] {
        try sequence { element throws(WireError) in
            PhdcMapEntry(attribute: try element.bigEndian(), length: try element.bigEndian())
        }
    }
}

/// What the device's reports mean.
struct PhdcConfiguration: Sendable, Equatable {
    var id: UInt16
    var objects: [PhdcObject]

    subscript(handle: UInt16) -> PhdcObject? { objects.first { $0.handle == handle } }

    var stores: [UInt16] { objects.filter { $0.kind == PhdcClass.store }.map(\.handle) }

    /// Objects that decode, handles that are unique and not 0, something that can be stored (phdc.md 6.2).
    var isUsable: Bool {
        !objects.contains { $0.handle == 0 } && Set(objects.map(\.handle)).count == objects.count
            && objects.contains {
                [PhdcClass.numeric, PhdcClass.enumeration, PhdcClass.array, PhdcClass.store].contains($0.kind)
            }
    }

    static func isStandard(_ id: UInt16) -> Bool { (0x0001...0x3FFF).contains(id) }

    /// The standard configurations that are accepted without asking for their objects (phdc.md 6.4).
    static let known: [UInt16] = [0x0190, 0x0191, 0x02BC, 0x0320, 0x05DC]

    static func standard(_ id: UInt16) -> PhdcConfiguration? {
        typealias ID = PhdcAttributeID
        let stamp: [(UInt16, UInt16)] = [(ID.timeStamp, 8)]
        switch id {
        case 0x0190:
            return PhdcConfiguration(
                id: id,
                objects: [
                    numeric(1, 0x4BB8, 0x4040, unit: 0x0220, map: [(ID.basicValue, 2)]),
                    numeric(10, 0x481A, 0x4040, unit: 0x0AA0, map: [(ID.basicValue, 2)]),
                ])
        case 0x0191:
            var objects = [
                numeric(1, 0x4BB8, 0x4040, unit: 0x0220, map: [(ID.basicValue, 2)] + stamp),
                numeric(10, 0x481A, 0x4040, unit: 0x0AA0, map: [(ID.basicValue, 2)] + stamp),
            ]
            for index in objects.indices {
                objects[index].set(PhdcAttribute(ID.supplementalTypes, [0, 1, 0, 4, 0, 2, 0x4C, 0x3C]))
            }
            return PhdcConfiguration(id: id, objects: objects)
        case 0x02BC:
            var pressure = numeric(1, 0x4A04, 0xF040, unit: 0x0F20, map: [(ID.basicCompound, 10)] + stamp)
            pressure.set(PhdcAttribute(0x0A73, [3, 3]))
            pressure.set(PhdcAttribute(ID.metricIDs, [0, 3, 0, 6, 0x4A, 5, 0x4A, 6, 0x4A, 7]))
            return PhdcConfiguration(
                id: id,
                objects: [
                    pressure, numeric(2, 0x482A, 0xF040, unit: 0x0AA0, map: [(ID.basicValue, 2)] + stamp),
                ])
        case 0x0320:
            return PhdcConfiguration(
                id: id, objects: [numeric(1, 0x4B5C, 0xF040, unit: 0x17A0, map: [(ID.simpleValue, 4)] + stamp)])
        case 0x05DC:
            return PhdcConfiguration(
                id: id, objects: [numeric(1, 0xE140, 0xF040, unit: 0x06C3, map: [(ID.simpleValue, 4)] + stamp)])
        case 0x06A4:
            return PhdcConfiguration(
                id: id, objects: [numeric(1, 0x71B8, 0xF040, unit: 0x0852, map: [(ID.basicValue, 2)] + stamp)])
        default: return nil
        }
    }

    /// A Numeric as the standard configurations have them; also for the simulator.
    static func numeric(
        _ handle: UInt16, _ code: UInt16, _ specification: UInt16, unit: UInt16, map: [(UInt16, UInt16)]
    ) -> PhdcObject {
        PhdcObject(
            kind: PhdcClass.numeric, handle: handle,
            attributes: [
                PhdcAttribute(PhdcAttributeID.type, long: UInt32(PhdcCode.scada) << 16 | UInt32(code)),
                PhdcAttribute(PhdcAttributeID.specification, specification),
                PhdcAttribute(PhdcAttributeID.unit, unit), mapAttribute(map),
            ])
    }

    static func mapAttribute(_ map: [(UInt16, UInt16)]) -> PhdcAttribute {
        var writer = ByteWriter()
        writer.sequence(map) {
            $0.bigEndian($1.0)
            $0.bigEndian($1.1)
        }
        return PhdcAttribute(PhdcAttributeID.valueMap, writer.bytes)
    }
}
