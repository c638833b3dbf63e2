import Wire

/// What is inside a PRST (phdc.md 4.5): an invoke id and a message.
struct PhdcData: Sendable, Equatable {
    var invoke: UInt16
    var message: PhdcMessage

    init(_ invoke: UInt16, _ message: PhdcMessage) {
        self.invoke = invoke
        self.message = message
    }

    init(_ reader: inout ByteReader) throws(WireError) {
        invoke = try reader.bigEndian()
        let choice: UInt16 = try reader.bigEndian()
        var body = ByteReader(try reader.octets())
        message = try PhdcMessage(choice, &body)
        try body.finish()
    }

    func write(_ writer: inout ByteWriter) {
        writer.bigEndian(invoke)
        writer.bigEndian(message.choice)
        var body = ByteWriter()
        message.write(&body)
        writer.octets(body.bytes)
    }

    /// Of a PRST that could not be read: the invoke id if it was a request, so that it can be rejected by name.
    static func requestID(in apdu: [UInt8]) -> UInt16? {
        guard apdu.count >= 10, apdu[8] == 0x01 else { return nil }
        return UInt16(apdu[6]) << 8 | UInt16(apdu[7])
    }
}

struct PhdcEvent: Sendable, Equatable {
    /// 0 is the device itself.
    var handle: UInt16
    /// Ticks of 125 µs; FFFFFFFF: none.
    var time: UInt32
    var type: UInt16
    var info: [UInt8]
}

struct PhdcAction: Sendable, Equatable {
    var handle: UInt16
    var type: UInt16
    var info: [UInt8]
}

struct PhdcModification: Sendable, Equatable {
    /// 0 replace, 3 set to default.
    var operation: UInt16
    var attribute: PhdcAttribute
}

enum PhdcMessage: Sendable, Equatable {
    case event(PhdcEvent, confirmed: Bool)
    case get(handle: UInt16, attributes: [UInt16])
    case set(handle: UInt16, [PhdcModification], confirmed: Bool)
    case action(PhdcAction, confirmed: Bool)
    case eventResponse(PhdcEvent)
    case getResponse(handle: UInt16, [PhdcAttribute])
    case setResponse(handle: UInt16, [PhdcAttribute])
    case actionResponse(PhdcAction)
    case error(UInt16, parameter: [UInt8])
    case rejection(UInt16)

    init(_ choice: UInt16, _ reader: inout ByteReader) throws(WireError) {
        switch choice {
        case 0x0100, 0x0101: self = .event(try Self.event(&reader), confirmed: choice == 0x0101)
        case 0x0103: self = .get(handle: try reader.bigEndian(), attributes: try reader.codes())
        case 0x0104, 0x0105:
            self = .set(
                handle: try reader.bigEndian(),
                try reader.sequence { element throws(WireError) in
                    PhdcModification(
                        operation: try element.bigEndian(),
                        attribute: PhdcAttribute(try element.bigEndian(), Array(try element.octets())))
                }, confirmed: choice == 0x0105)
        case 0x0106, 0x0107: self = .action(try Self.action(&reader), confirmed: choice == 0x0107)
        case 0x0201: self = .eventResponse(try Self.event(&reader))
        case 0x0203: self = .getResponse(handle: try reader.bigEndian(), try reader.attributes())
        case 0x0205: self = .setResponse(handle: try reader.bigEndian(), try reader.attributes())
        case 0x0207: self = .actionResponse(try Self.action(&reader))
        case 0x0300: self = .error(try reader.bigEndian(), parameter: Array(try reader.octets()))
        case 0x0400: self = .rejection(try reader.bigEndian())
        default: throw .malformed(offset: 0, "unknown message \(phdcHexadecimal(choice))")
        }
    }

    private static func event(_ reader: inout ByteReader) throws(WireError) -> PhdcEvent {
        PhdcEvent(
            handle: try reader.bigEndian(), time: try reader.bigEndian(), type: try reader.bigEndian(),
            info: Array(try reader.octets()))
    }

    private static func action(_ reader: inout ByteReader) throws(WireError) -> PhdcAction {
        PhdcAction(handle: try reader.bigEndian(), type: try reader.bigEndian(), info: Array(try reader.octets()))
    }

    var choice: UInt16 {
        switch self {
        case .event(_, let confirmed): confirmed ? 0x0101 : 0x0100
        case .get: 0x0103
        case .set(_, _, let confirmed): confirmed ? 0x0105 : 0x0104
        case .action(_, let confirmed): confirmed ? 0x0107 : 0x0106
        case .eventResponse: 0x0201
        case .getResponse: 0x0203
        case .setResponse: 0x0205
        case .actionResponse: 0x0207
        case .error: 0x0300
        case .rejection: 0x0400
        }
    }

    /// True for what answers a request (rors, roer, rorj).
    var isResponse: Bool { choice >= 0x0200 }

    func write(_ writer: inout ByteWriter) {
        switch self {
        case .event(let event, _), .eventResponse(let event):
            writer.bigEndian(event.handle)
            writer.bigEndian(event.time)
            writer.bigEndian(event.type)
            writer.octets(event.info)
        case .get(let handle, let attributes):
            writer.bigEndian(handle)
            writer.sequence(attributes) { $0.bigEndian($1) }
        case .set(let handle, let modifications, _):
            writer.bigEndian(handle)
            writer.sequence(modifications) {
                $0.bigEndian($1.operation)
                $0.bigEndian($1.attribute.id)
                $0.octets($1.attribute.value)
            }
        case .action(let action, _), .actionResponse(let action):
            writer.bigEndian(action.handle)
            writer.bigEndian(action.type)
            writer.octets(action.info)
        case .getResponse(let handle, let attributes), .setResponse(let handle, let attributes):
            writer.bigEndian(handle)
            writer.attributes(attributes)
        case .error(let value, let parameter):
            writer.bigEndian(value)
            writer.octets(parameter)
        case .rejection(let problem): writer.bigEndian(problem)
        }
    }
}

/// Error and rejection values (phdc.md 4.5).
enum PhdcProblem {
    static let noSuchObject: UInt16 = 1
    static let noSuchAction: UInt16 = 9
    static let badlyStructured: UInt16 = 2
    static let unrecognizedOperation: UInt16 = 101
    static let resourceLimitation: UInt16 = 103
}

/// Abort reasons (phdc.md 4.1).
enum PhdcAbort {
    static let undefined: UInt16 = 0
    static let responseTimeout: UInt16 = 2
    static let configurationTimeout: UInt16 = 3
}
