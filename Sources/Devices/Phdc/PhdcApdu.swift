import Wire

/// The outer frame of ISO/IEEE 11073-20601 (phdc.md 4.1): `u16 choice, u16 length, body`.
enum PhdcApdu: Sendable, Equatable {
    case associationRequest(PhdcAssociationRequest)
    case associationResponse(PhdcAssociationResponse)
    case releaseRequest(reason: UInt16)
    case releaseResponse(reason: UInt16)
    case abort(reason: UInt16)
    case presentation(PhdcData)

    /// An APDU may have at most so many bytes (phdc.md 2.9).
    static let largest = 64_512

    enum Choice: UInt16 {
        case associationRequest = 0xE200
        case associationResponse = 0xE300
        case releaseRequest = 0xE400
        case releaseResponse = 0xE500
        case abort = 0xE600
        case presentation = 0xE700
    }

    /// The choice of a whole APDU, also of one that can't be read any further.
    static func choice(of bytes: [UInt8]) -> Choice? {
        bytes.count < 4 ? nil : Choice(rawValue: UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
    }

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        let tag: UInt16 = try reader.bigEndian()
        guard let choice = Choice(rawValue: tag) else { throw .malformed(offset: 0, "unknown APDU \(tag)") }
        var body = ByteReader(try reader.octets())
        try reader.finish()
        switch choice {
        case .associationRequest: self = .associationRequest(try PhdcAssociationRequest(&body))
        case .associationResponse: self = .associationResponse(try PhdcAssociationResponse(&body))
        case .releaseRequest: self = .releaseRequest(reason: try body.bigEndian())
        case .releaseResponse: self = .releaseResponse(reason: try body.bigEndian())
        case .abort: self = .abort(reason: try body.bigEndian())
        case .presentation:
            var data = ByteReader(try body.octets())
            self = .presentation(try PhdcData(&data))
            try data.finish()
        }
        try body.finish()
    }

    var wire: [UInt8] {
        var body = ByteWriter()
        let choice: Choice
        switch self {
        case .associationRequest(let request):
            choice = .associationRequest
            request.write(&body)
        case .associationResponse(let response):
            choice = .associationResponse
            response.write(&body)
        case .releaseRequest(let reason):
            choice = .releaseRequest
            body.bigEndian(reason)
        case .releaseResponse(let reason):
            choice = .releaseResponse
            body.bigEndian(reason)
        case .abort(let reason):
            choice = .abort
            body.bigEndian(reason)
        case .presentation(let data):
            choice = .presentation
            var inner = ByteWriter()
            data.write(&inner)
            body.octets(inner.bytes)
        }
        var writer = ByteWriter()
        writer.bigEndian(choice.rawValue)
        writer.octets(body.bytes)
        return writer.bytes
    }
}

/// AARQ (phdc.md 4.2).
struct PhdcAssociationRequest: Sendable, Equatable {
    struct DataProtocol: Sendable, Equatable {
        var id: UInt16
        var info: [UInt8]
    }

    static let dataProtocol: UInt16 = 0x5079

    /// Bit 0 (the most significant) = version 1.
    var version: UInt32 = 0x8000_0000
    var protocols: [DataProtocol]

    init(version: UInt32 = 0x8000_0000, protocols: [DataProtocol]) {
        self.version = version
        self.protocols = protocols
    }

    init(_ information: PhdcAssociationInformation) {
        protocols = [DataProtocol(id: Self.dataProtocol, info: information.wire)]
    }

    init(_ reader: inout ByteReader) throws(WireError) {
        version = try reader.bigEndian()
        protocols = try reader.sequence { element throws(WireError) in
            DataProtocol(id: try element.bigEndian(), info: Array(try element.octets()))
        }
    }

    func write(_ writer: inout ByteWriter) {
        writer.bigEndian(version)
        writer.sequence(protocols) {
            $0.bigEndian($1.id)
            $0.octets($1.info)
        }
    }

    /// What it says about 11073-20601; nil when it does not offer that, or says it in no readable way.
    var information: PhdcAssociationInformation? {
        protocols.first { $0.id == Self.dataProtocol }.flatMap { try? PhdcAssociationInformation($0.info) }
    }
}

/// PhdAssociationInformation (phdc.md 4.2).
struct PhdcAssociationInformation: Sendable, Equatable {
    var protocolVersion: UInt32 = 0x8000_0000
    /// Bit 0 (8000) = MDER.
    var encodingRules: UInt16 = 0x8000
    var nomenclatureVersion: UInt32 = 0x8000_0000
    /// Bit 2 (20000000): wants a test association.
    var functionalUnits: UInt32 = 0
    /// Bit 0: the host's side; bit 8 (00800000): the device.
    var systemType: UInt32
    /// EUI-64: eight bytes.
    var systemID: [UInt8]
    var configuration: UInt16 = 0
    /// Phdc.md 4.4: bit 15 (0001) reports by itself, bit 8 (0080) single response, bit 4 (0800) scope "all".
    var requestModes: UInt16 = 0
    var agentCount: UInt8 = 0
    var hostCount: UInt8 = 0
    var options: [PhdcAttribute] = []

    init(systemType: UInt32, systemID: [UInt8]) {
        self.systemType = systemType
        self.systemID = systemID
    }

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        protocolVersion = try reader.bigEndian()
        encodingRules = try reader.bigEndian()
        nomenclatureVersion = try reader.bigEndian()
        functionalUnits = try reader.bigEndian()
        systemType = try reader.bigEndian()
        systemID = Array(try reader.octets())
        configuration = try reader.bigEndian()
        requestModes = try reader.bigEndian()
        agentCount = try reader.u8()
        hostCount = try reader.u8()
        options = try reader.attributes()
    }

    var wire: [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(protocolVersion)
        writer.bigEndian(encodingRules)
        writer.bigEndian(nomenclatureVersion)
        writer.bigEndian(functionalUnits)
        writer.bigEndian(systemType)
        writer.octets(systemID)
        writer.bigEndian(configuration)
        writer.bigEndian(requestModes)
        writer.append(agentCount)
        writer.append(hostCount)
        writer.attributes(options)
        return writer.bytes
    }
}

/// AARE (phdc.md 4.3).
struct PhdcAssociationResponse: Sendable, Equatable {
    enum Result: UInt16, Sendable {
        case accepted = 0
        case rejectedPermanent = 1
        case rejectedTransient = 2
        case acceptedUnknownConfiguration = 3
        case noCommonProtocol = 4
        case noCommonParameter = 5
        case rejectedUnknown = 6
        case unauthorized = 7
        case unsupportedVersion = 8
    }

    var result: UInt16
    var dataProtocol: UInt16
    var info: [UInt8]

    init(_ result: Result, _ information: PhdcAssociationInformation) {
        self.result = result.rawValue
        dataProtocol = PhdcAssociationRequest.dataProtocol
        info = information.wire
    }

    init(_ reader: inout ByteReader) throws(WireError) {
        result = try reader.bigEndian()
        dataProtocol = try reader.bigEndian()
        info = Array(try reader.octets())
    }

    func write(_ writer: inout ByteWriter) {
        writer.bigEndian(result)
        writer.bigEndian(dataProtocol)
        writer.octets(info)
    }
}
