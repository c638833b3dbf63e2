import Wire

/// Event types and actions of the object partition (phdc.md 8.1, 13.1).
enum PhdcEventType {
    static let configuration: UInt16 = 0x0D1C
    static let segmentData: UInt16 = 0x0D21
    static let scans: ClosedRange<UInt16> = 0x0D1D...0x0D2D
}

enum PhdcActionType {
    /// Erases stored data. Only the simulator and the forbidden bytes know it; nothing here can send it.
    static let clearSegments: UInt16 = 0x0C0C
    static let segmentInfo: UInt16 = 0x0C0D
    static let dataRequest: UInt16 = 0x0C1B
    static let triggerTransfer: UInt16 = 0x0C1C
}

/// ConfigReport (phdc.md 6.2).
struct PhdcConfigurationReport: Sendable, Equatable {
    var id: UInt16
    var objects: [PhdcObject]

    init(id: UInt16, objects: [PhdcObject]) {
        self.id = id
        self.objects = objects
    }

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        id = try reader.bigEndian()
        objects = try reader.sequence { element throws(WireError) in
            PhdcObject(
                kind: try element.bigEndian(), handle: try element.bigEndian(), attributes: try element.attributes())
        }
        try reader.finish()
    }

    var wire: [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(id)
        writer.sequence(objects) {
            $0.bigEndian($1.kind)
            $0.bigEndian($1.handle)
            $0.attributes($1.attributes)
        }
        return writer.bytes
    }

    enum Result: UInt16 {
        case accepted = 0
        case unsupported = 1
        case standardUnknown = 2
    }

    static func response(_ id: UInt16, _ result: Result) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(id)
        writer.bigEndian(result.rawValue)
        return writer.bytes
    }
}

/// What a scan report brings: from the device itself, from a scanner, or inside the response to a data request.
struct PhdcScanReport: Sendable, Equatable {
    enum Content: Sendable, Equatable {
        case fixed(handle: UInt16, [UInt8])
        case variable(handle: UInt16, [PhdcAttribute])
        /// All values of a scanner's map, in its order.
        case grouped([UInt8])
    }

    struct Item: Sendable, Equatable {
        /// FFFF is nobody known; nil in a report without persons.
        var person: UInt16?
        var content: Content
    }

    enum Form: Sendable { case fixed, variable, grouped }

    /// F000: sent by itself.
    var request: UInt16
    var number: UInt16
    var items: [Item]
    /// Bytes after a complete list: tolerated (phdc.md 5.4).
    var surplus = 0

    static let byItself: UInt16 = 0xF000
    static let nobody: UInt16 = 0xFFFF

    init(number: UInt16, items: [Item]) {
        request = Self.byItself
        self.number = number
        self.items = items
    }

    /// Form and persons of an event type; nil for an event that isn't a scan report.
    static func form(of type: UInt16) -> (form: Form, persons: Bool)? {
        switch type {
        case 0x0D1D, 0x0D23, 0x0D29: (.fixed, false)
        case 0x0D1E, 0x0D22, 0x0D28: (.variable, false)
        case 0x0D1F, 0x0D26, 0x0D2C: (.fixed, true)
        case 0x0D20, 0x0D25, 0x0D2B: (.variable, true)
        case 0x0D24, 0x0D2A: (.grouped, false)
        case 0x0D27, 0x0D2D: (.grouped, true)
        default: nil
        }
    }

    init(_ bytes: [UInt8], _ form: Form, persons: Bool) throws(WireError) {
        var reader = ByteReader(bytes)
        request = try reader.bigEndian()
        number = try reader.bigEndian()
        if form == .grouped {
            items = try reader.sequence { element throws(WireError) in
                Item(
                    person: persons ? try element.bigEndian() : nil, content: .grouped(Array(try element.octets())))
            }
        } else if persons {
            items = try reader.sequence { element throws(WireError) in
                let person: UInt16 = try element.bigEndian()
                return try element.sequence { inner throws(WireError) in
                    Item(person: person, content: try Self.content(&inner, form))
                }
            }.flatMap { $0 }
        } else {
            items = try reader.sequence { element throws(WireError) in
                Item(person: nil, content: try Self.content(&element, form))
            }
        }
        surplus = reader.remaining
    }

    private static func content(_ reader: inout ByteReader, _ form: Form) throws(WireError) -> Content {
        let handle: UInt16 = try reader.bigEndian()
        return form == .fixed
            ? .fixed(handle: handle, Array(try reader.octets())) : .variable(handle: handle, try reader.attributes())
    }

    /// Without persons unless the items have them; all items must be of one form.
    var wire: [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(request)
        writer.bigEndian(number)
        guard items.contains(where: { $0.person != nil }) else {
            writer.sequence(items) { $1.content.write(&$0) }
            return writer.bytes
        }
        if case .grouped = items.first?.content {
            writer.sequence(items) {
                $0.bigEndian($1.person ?? Self.nobody)
                $1.content.write(&$0)
            }
            return writer.bytes
        }
        var persons: [UInt16] = []
        for item in items where !persons.contains(item.person ?? Self.nobody) {
            persons.append(item.person ?? Self.nobody)
        }
        writer.sequence(persons) { writer, person in
            writer.bigEndian(person)
            writer.sequence(items.filter { ($0.person ?? Self.nobody) == person }) { $1.content.write(&$0) }
        }
        return writer.bytes
    }
}

extension PhdcScanReport.Content {
    func write(_ writer: inout ByteWriter) {
        switch self {
        case .fixed(let handle, let data):
            writer.bigEndian(handle)
            writer.octets(data)
        case .variable(let handle, let attributes):
            writer.bigEndian(handle)
            writer.attributes(attributes)
        case .grouped(let data): writer.octets(data)
        }
    }
}

/// DataResponse (phdc.md 9.3): a report inside the answer to a data request.
struct PhdcDataResponse: Sendable, Equatable {
    var time: UInt32
    var result: UInt16
    var eventType: UInt16
    var info: [UInt8]

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        time = try reader.bigEndian()
        result = try reader.bigEndian()
        eventType = try reader.bigEndian()
        info = Array(try reader.octets())
        try reader.finish()
    }
}

/// One portion of a stored segment (phdc.md 10.2).
struct PhdcSegmentData: Sendable, Equatable {
    var instance: UInt16
    /// Number of the first entry, from 0.
    var index: UInt32
    var count: UInt32
    var status: UInt16
    var entries: [UInt8]

    static let firstEntry: UInt16 = 0x8000
    static let lastEntry: UInt16 = 0x4000
    static let agentAbort: UInt16 = 0x0800
    static let confirm: UInt16 = 0x0080
    /// Our side ends the transfer.
    static let hostAbort: UInt16 = 0x0008

    init(instance: UInt16, index: UInt32, count: UInt32, status: UInt16, entries: [UInt8]) {
        self.instance = instance
        self.index = index
        self.count = count
        self.status = status
        self.entries = entries
    }

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        instance = try reader.bigEndian()
        index = try reader.bigEndian()
        count = try reader.bigEndian()
        status = try reader.bigEndian()
        entries = Array(try reader.octets())
        try reader.finish()
    }

    var wire: [UInt8] {
        var writer = ByteWriter()
        writer.append(contentsOf: response(status))
        writer.octets(entries)
        return writer.bytes
    }

    /// The descriptor alone, with another status.
    func response(_ status: UInt16) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(instance)
        writer.bigEndian(index)
        writer.bigEndian(count)
        writer.bigEndian(status)
        return writer.bytes
    }
}

/// A segment of a PM-store, as get-segment-info describes it (phdc.md 10.1).
struct PhdcSegmentInfo: Sendable, Equatable {
    var instance: UInt16
    var attributes: [PhdcAttribute]

    static func list(_ bytes: [UInt8]) throws(WireError) -> [PhdcSegmentInfo] {
        var reader = ByteReader(bytes)
        let list = try reader.sequence { element throws(WireError) in
            PhdcSegmentInfo(instance: try element.bigEndian(), attributes: try element.attributes())
        }
        try reader.finish()
        return list
    }

    static func wire(_ list: [PhdcSegmentInfo]) -> [UInt8] {
        var writer = ByteWriter()
        writer.sequence(list) {
            $0.bigEndian($1.instance)
            $0.attributes($1.attributes)
        }
        return writer.bytes
    }
}
