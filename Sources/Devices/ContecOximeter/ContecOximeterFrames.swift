import Wire

/// The device's frame types (devices.md 3.3). The length is fixed by the type: there is no length field, no checksum and
/// no retransmission.
enum ContecOximeterFrameType: UInt8, CaseIterable, Sendable {
    case realTime = 0x01
    case model = 0x02
    case vendor = 0x03
    case identifier = 0x04
    case user = 0x05
    case version = 0x06
    case startDate = 0x07
    case length = 0x08
    case storedWithPerfusion = 0x09
    case segmentCount = 0x0A
    case feedback = 0x0B
    case free = 0x0C
    case disconnecting = 0x0D
    case perfusionSupport = 0x0E
    case stored = 0x0F
    case userCount = 0x10
    case notice = 0x11
    case startTime = 0x12
    case unexplained13 = 0x13
    case unexplained14 = 0x14
    case storageFormat = 0x15

    /// Bytes on the wire, type and high byte included.
    var length: Int {
        switch self {
        case .free: 2
        case .disconnecting, .perfusionSupport, .userCount: 3
        case .version, .segmentCount, .feedback: 4
        case .storedWithPerfusion: 6
        case .startDate, .length, .stored, .startTime: 8
        case .realTime, .model, .vendor, .identifier, .user, .notice, .unexplained13, .unexplained14, .storageFormat: 9
        }
    }
}

/// Seven bits a byte: bit 7 of every data byte travels in the high byte, and every byte after the type has bit 7 set
/// (devices.md 3.2).
enum ContecOximeterPacking {
    /// The high byte and the data bytes, as they follow a type byte. At most 7 data bytes.
    static func packed(_ data: [UInt8]) -> [UInt8] {
        precondition(data.count <= 7, "the high byte carries seven bits")
        var high: UInt8 = 0x80
        for (index, byte) in data.enumerated() { high |= (byte >> 7) << UInt8(index) }
        return [high] + data.map { $0 | 0x80 }
    }

    /// The inverse; `wire` is the high byte and the data bytes.
    static func unpacked(_ wire: ArraySlice<UInt8>) -> [UInt8] {
        guard let high = wire.first else { return [] }
        return wire.dropFirst().enumerated().map { index, byte in (byte & 0x7F) | ((high >> UInt8(index)) & 1) << 7 }
    }
}

/// Why the device refused a command or went away (devices.md 3.3, V7DOC only; 05 confirmed by AQW).
enum ContecOximeterReason: UInt8, Sendable {
    case done = 0x00
    case shuttingDown = 0x01
    case changingUser = 0x02
    case recording = 0x03
    case deleteFailed = 0x04
    case notSupported = 0x05
    case unknown = 0xFF

    static func text(_ code: UInt8) -> String {
        switch Self(rawValue: code) {
        case .done: "done"
        case .shuttingDown: "shutting down"
        case .changingUser: "changing user"
        case .recording: "recording"
        case .deleteFailed: "delete failed"
        case .notSupported: "not supported"
        case .unknown: "unknown reason"
        case nil: "reason \(code)"
        }
    }
}

/// A place in the device's memory.
struct ContecOximeterPlace: Hashable, Sendable {
    var user: UInt8
    var segment: UInt8
}

/// One frame from the device, decoded (devices.md 3.3). Texts stay bytes here: they may hold anything.
enum ContecOximeterFrame: Equatable, Sendable {
    case realTime(ContecOximeterRealTime)
    /// The model's name comes in two frames, index 0 and 1, six bytes each.
    case model(index: UInt8, text: [UInt8])
    case vendor([UInt8])
    case identifier([UInt8])
    case user(index: UInt8, name: [UInt8])
    case version(UInt8, UInt8)
    /// Year = century × 100 + year.
    case startDate(ContecOximeterPlace, century: UInt8, year: UInt8, month: UInt8, day: UInt8)
    /// In bytes of values, not in samples (devices.md 3.6).
    case length(ContecOximeterPlace, UInt32)
    case storedWithPerfusion(ContecOximeterStoredSample)
    case segmentCount(user: UInt8, count: UInt8)
    case feedback(command: UInt8, reason: UInt8)
    case free
    case disconnecting(reason: UInt8)
    /// 0 = supported.
    case perfusionSupport(UInt8)
    /// Always three; the last frame of a stream is padded with zeros.
    case stored([ContecOximeterStoredSample])
    case userCount(UInt8)
    /// Kind 01: the next byte says whether there are stored data. May come unasked.
    case notice(kind: UInt8, [UInt8])
    case startTime(ContecOximeterPlace, hour: UInt8, minute: UInt8, second: UInt8, last: UInt8)
    case unexplained13([UInt8])
    case unexplained14([UInt8])
    /// A1 = with perfusion index (09 frames), A0 = without (0F frames).
    case storageFormat(ContecOximeterPlace, UInt8, [UInt8])

    /// One whole frame and nothing else.
    init(parsing wire: [UInt8]) throws(WireError) {
        guard let first = wire.first else { throw .truncated(offset: 0, needed: 1, available: 0) }
        guard let type = ContecOximeterFrameType(rawValue: first) else {
            throw .malformed(offset: 0, "frame type \(first) is unknown")
        }
        guard wire.count >= type.length else {
            throw .truncated(offset: wire.count, needed: type.length - wire.count, available: 0)
        }
        guard wire.count == type.length else { throw .malformed(offset: type.length, "bytes after the frame") }
        for (index, byte) in wire.enumerated().dropFirst() where byte & 0x80 == 0 {
            throw .malformed(offset: index, "bit 7 is clear inside a frame")
        }
        self.init(type, ContecOximeterPacking.unpacked(wire[1...]))
    }

    /// `data` has exactly the type's number of bytes; the caller has seen to it.
    private init(_ type: ContecOximeterFrameType, _ data: [UInt8]) {
        func place() -> ContecOximeterPlace { ContecOximeterPlace(user: data[0], segment: data[1]) }
        switch type {
        case .realTime: self = .realTime(ContecOximeterRealTime(data: data))
        case .model: self = .model(index: data[0], text: Array(data[1...]))
        case .vendor: self = .vendor(data)
        case .identifier: self = .identifier(data)
        case .user: self = .user(index: data[0], name: Array(data[1...]))
        case .version: self = .version(data[0], data[1])
        case .startDate: self = .startDate(place(), century: data[2], year: data[3], month: data[4], day: data[5])
        case .length:
            let bytes = data[2...5].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            self = .length(place(), bytes)
        case .storedWithPerfusion:
            self = .storedWithPerfusion(
                ContecOximeterStoredSample(
                    spo2: data[0], pulse: data[1], perfusion: UInt16(data[3]) << 8 | UInt16(data[2])))
        case .segmentCount: self = .segmentCount(user: data[0], count: data[1])
        case .feedback: self = .feedback(command: data[0], reason: data[1])
        case .free: self = .free
        case .disconnecting: self = .disconnecting(reason: data[0])
        case .perfusionSupport: self = .perfusionSupport(data[0])
        case .stored:
            self = .stored(
                (0..<3).map { ContecOximeterStoredSample(spo2: data[2 * $0], pulse: data[2 * $0 + 1], perfusion: nil) })
        case .userCount: self = .userCount(data[0])
        case .notice: self = .notice(kind: data[0], Array(data[1...]))
        case .startTime: self = .startTime(place(), hour: data[2], minute: data[3], second: data[4], last: data[5])
        case .unexplained13: self = .unexplained13(data)
        case .unexplained14: self = .unexplained14(data)
        case .storageFormat: self = .storageFormat(place(), data[2], Array(data[3...]))
        }
    }

    /// The frame as the device sends it. Data of a wrong number are cut or filled with zeros.
    var wire: [UInt8] {
        let (type, data) = content
        let room = type.length - 2
        let fitted = data.prefix(room) + Array(repeating: 0, count: max(0, room - data.count))
        return [type.rawValue] + ContecOximeterPacking.packed(Array(fitted))
    }

    private var content: (ContecOximeterFrameType, [UInt8]) {
        switch self {
        case .realTime(let values): (.realTime, values.data)
        case .model(let index, let text): (.model, [index] + text)
        case .vendor(let text): (.vendor, text)
        case .identifier(let text): (.identifier, text)
        case .user(let index, let name): (.user, [index] + name)
        case .version(let major, let minor): (.version, [major, minor])
        case .startDate(let place, let century, let year, let month, let day):
            (.startDate, [place.user, place.segment, century, year, month, day])
        case .length(let place, let bytes):
            (
                .length,
                [place.user, place.segment] + (0..<4).map { UInt8(truncatingIfNeeded: bytes >> (8 * UInt32($0))) }
            )
        case .storedWithPerfusion(let sample):
            (
                .storedWithPerfusion,
                [
                    sample.spo2, sample.pulse, UInt8(truncatingIfNeeded: sample.perfusion ?? 0xFFFF),
                    UInt8((sample.perfusion ?? 0xFFFF) >> 8),
                ]
            )
        case .segmentCount(let user, let count): (.segmentCount, [user, count])
        case .feedback(let command, let reason): (.feedback, [command, reason])
        case .free: (.free, [])
        case .disconnecting(let reason): (.disconnecting, [reason])
        case .perfusionSupport(let value): (.perfusionSupport, [value])
        case .stored(let samples): (.stored, samples.flatMap { [$0.spo2, $0.pulse] })
        case .userCount(let count): (.userCount, [count])
        case .notice(let kind, let rest): (.notice, [kind] + rest)
        case .startTime(let place, let hour, let minute, let second, let last):
            (.startTime, [place.user, place.segment, hour, minute, second, last])
        case .unexplained13(let data): (.unexplained13, data)
        case .unexplained14(let data): (.unexplained14, data)
        case .storageFormat(let place, let format, let rest):
            (.storageFormat, [place.user, place.segment, format] + rest)
        }
    }
}
