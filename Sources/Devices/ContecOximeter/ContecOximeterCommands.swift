/// A command to the device (devices.md 3.5): always nine bytes on the wire, unused parameters are zero.
///
/// The command AE (erase) is not among the codes, and there is no other way to make a command: only `ContecOximeterErasure`
/// says it.
struct ContecOximeterCommand: Equatable, Sendable {
    enum Code: UInt8, CaseIterable, Sendable {
        case version = 0xA0
        case startLive = 0xA1
        case stopLive = 0xA2
        case segmentCount = 0xA3
        case length = 0xA4
        case startTime = 0xA5
        case download = 0xA6
        case stopDownload = 0xA7
        case model = 0xA8
        case vendor = 0xA9
        case identifier = 0xAA
        case user = 0xAB
        case perfusionSupport = 0xAC
        case userCount = 0xAD
        case keepAlive = 0xAF
        case storedData = 0xB0
        case setTime = 0xB1
        case setDate = 0xB2
        /// Answered with 13 and 14; the meaning is not known.
        case unexplained = 0xB3
        case storageFormat = 0xB6
    }

    let code: Code
    /// At most six.
    let parameters: [UInt8]

    private init(_ code: Code, _ parameters: UInt8...) {
        self.code = code
        self.parameters = parameters
    }

    static let version = Self(.version)
    static let startLive = Self(.startLive)
    static let stopLive = Self(.stopLive)
    static func segmentCount(user: UInt8) -> Self { Self(.segmentCount, user) }
    static func length(_ place: ContecOximeterPlace) -> Self { Self(.length, place.user, place.segment) }
    static func startTime(_ place: ContecOximeterPlace) -> Self { Self(.startTime, place.user, place.segment) }
    static func download(_ place: ContecOximeterPlace) -> Self { Self(.download, place.user, place.segment) }
    static let stopDownload = Self(.stopDownload)
    static let model = Self(.model)
    static let vendor = Self(.vendor)
    static let identifier = Self(.identifier)
    static func user(_ index: UInt8) -> Self { Self(.user, index) }
    static let perfusionSupport = Self(.perfusionSupport)
    static let userCount = Self(.userCount)
    static let keepAlive = Self(.keepAlive)
    static let storedData = Self(.storedData)
    static func setTime(hour: UInt8, minute: UInt8, second: UInt8) -> Self { Self(.setTime, hour, minute, second) }
    /// To be sent before `setTime`; weekday 0 is Sunday.
    static func setDate(century: UInt8, year: UInt8, month: UInt8, day: UInt8, weekday: UInt8) -> Self {
        Self(.setDate, century, year, month, day, weekday)
    }
    static let unexplained = Self(.unexplained)
    static func storageFormat(_ place: ContecOximeterPlace) -> Self { Self(.storageFormat, place.user, place.segment) }

    var wire: [UInt8] {
        [Self.type]
            + ContecOximeterPacking.packed(
                [code.rawValue] + parameters + Array(repeating: 0, count: 6 - parameters.count))
    }

    /// The type byte of every command.
    static let type: UInt8 = 0x7D
    /// The type byte of the only other frame from the host: "set identifier".
    static let setIdentifierType: UInt8 = 0x04
}

/// A command as somebody sent it: any code, three to nine bytes (devices.md 3.3).
struct ContecOximeterHeardCommand: Equatable, Sendable {
    var code: UInt8
    /// As many as were sent, at most six.
    var parameters: [UInt8]

    init(code: UInt8, parameters: [UInt8]) {
        self.code = code
        self.parameters = parameters
    }

    init(_ command: ContecOximeterCommand) {
        code = command.code.rawValue
        parameters = command.parameters
    }

    /// Parameters that were not sent are zero.
    func parameter(_ index: Int) -> UInt8 { parameters.indices.contains(index) ? parameters[index] : 0 }
    var place: ContecOximeterPlace { ContecOximeterPlace(user: parameter(0), segment: parameter(1)) }
}

/// Finds the commands in what a host sends. Short forms have no end mark, so the one who knows that a pause has come
/// calls `concludeIfWhole`.
struct ContecOximeterCommandCollector: Sendable {
    private var partial: [UInt8] = []

    /// Something has been collected that may be a whole command.
    var isWaiting: Bool { partial.count >= 3 }

    mutating func collect(_ bytes: [UInt8]) -> [ContecOximeterHeardCommand] {
        var commands: [ContecOximeterHeardCommand] = []
        for byte in bytes {
            if byte & 0x80 == 0 {
                if let command = conclude() { commands.append(command) }
                if byte == ContecOximeterCommand.type || byte == ContecOximeterCommand.setIdentifierType {
                    partial = [byte]
                }
            } else if !partial.isEmpty {
                partial.append(byte)
                if partial.count == 9, let command = conclude() { commands.append(command) }
            }
        }
        return commands
    }

    /// There was a pause: a command that may be whole is.
    mutating func concludeIfWhole() -> ContecOximeterHeardCommand? { isWaiting ? conclude() : nil }

    private mutating func conclude() -> ContecOximeterHeardCommand? {
        defer { partial = [] }
        guard partial.count >= 3, partial[0] == ContecOximeterCommand.type else { return nil }
        let data = ContecOximeterPacking.unpacked(partial[1...])
        // Codes are A0 and above; a client that leaves the high byte's bit away means the same.
        return ContecOximeterHeardCommand(code: data[0] | 0x80, parameters: Array(data[1...]))
    }
}
