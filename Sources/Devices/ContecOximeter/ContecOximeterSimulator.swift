import Clinical

/// Plays a protocol V7 oximeter (devices.md 3.9), on the driver's own codec. It understands everything that a client may
/// send, also the erase command, so that a test can prove that it never comes.
public struct ContecOximeterSimulator: DeviceSimulator {
    /// What kind of device it is, and what goes wrong.
    public struct Configuration: Sendable {
        /// At most 12 characters.
        public var model = "CMS50F"
        public var vendor = "Contec"
        /// At most 7 characters; always begins with SIM.
        public var serial = "SIM0001" {
            didSet { if !serial.hasPrefix("SIM") { serial = "SIM" + serial.prefix(4) } }
        }
        /// Has a perfusion index: 09 frames instead of 0F, 0E says 0.
        public var hasPerfusion = false
        public var memory: [ContecOximeterNight] = []
        /// What the finger delivers in real time.
        public var finger = ContecOximeterNight(start: nil, seconds: 3600, seed: 7)
        /// Recording by itself: A6 is answered with this reason (03, or 05 like AQWave).
        public var recordingReason: UInt8?
        /// Commands that are answered 0B/05, and commands that meet silence.
        public var unsupported: Set<UInt8> = []
        public var silent: Set<UInt8> = []
        /// The first so many commands of each code are not heard.
        public var deafFor = 0
        /// Seconds without AF until a live stream stops; nil: never.
        public var keepAliveLimit: Int? = 30
        /// Frames that still come after a stop command.
        public var stragglers = 2
        /// Live frames before the first storage frame.
        public var liveFramesBeforeStorage = 0
        /// Streaming already when the host connects.
        public var isStreaming = false
        /// Portions of one to so many bytes instead of whole frames.
        public var portions: Int?
        /// The bytes of the sample streams with these numbers (from 0) get lost.
        public var lostBytes: Set<Int> = []
        /// After so many sample frames of a stream nothing comes any more.
        public var stallsAfter: Int?
        /// After so many sample frames the device switches itself off (0D 01).
        public var switchesOffAfter: Int?
        /// What AE is answered with; anything but 00 leaves the memory as it is.
        public var eraseReason: UInt8 = 0x00
        /// AE is answered with "done", and isn't.
        public var erasesNothing = false
        /// Bytes per second on the line; 115200 baud carry 11520.
        public var speed = 11_520

        public init() {}
    }

    private enum State: Equatable {
        case idle
        /// `sent` frames since `since`.
        case live(since: UInt64, sent: Int)
        case dump(night: Int, since: UInt64, sent: Int, bytes: Int)
        case off
    }

    private let configuration: Configuration
    private var memory: [ContecOximeterNight]
    private var state: State
    private var commands = ContecOximeterCommandCollector()
    private var lastByteAt: UInt64 = 0
    private var lastKeepAlive: UInt64 = 0
    private var heard: [UInt8: Int] = [:]
    private var streamed = 0
    private var scatter: UInt64 = 1
    /// Commands that were carried out, in order, by their code.
    public private(set) var log: [UInt8] = []
    /// How often the host asked to erase the memory.
    public private(set) var eraseCommands = 0

    /// After this pause a short command is taken as whole.
    private static let pause: UInt64 = 20_000_000

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        memory = configuration.memory
        state = configuration.isStreaming ? .live(since: 0, sent: 0) : .idle
    }

    public var isStreaming: Bool {
        switch state {
        case .live, .dump: true
        case .idle, .off: false
        }
    }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        lastByteAt = now
        var answers = tick(at: now)
        for command in commands.collect(bytes) { answers += execute(command, at: now) }
        return answers
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        var answers: [[UInt8]] = []
        if now >= lastByteAt + Self.pause, let command = commands.concludeIfWhole() {
            answers += execute(command, at: now)
        }
        return answers + stream(until: now)
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        var next: UInt64?
        switch state {
        case .live(let since, let sent) where !isStalled(sent):
            next = since + UInt64(sent + 1) * 1_000_000_000 / 60
        case .dump(_, _, let sent, _) where !isStalled(sent): next = now + 10_000_000
        default: break
        }
        let pause = commands.isWaiting ? lastByteAt + Self.pause : nil
        return [next, pause].compactMap { $0 }.min().map { max($0, now + 1) }
    }

    // MARK: Commands

    private mutating func execute(_ command: ContecOximeterHeardCommand, at now: UInt64) -> [[UInt8]] {
        if state == .off { return [] }
        if case .dump = state, command.code != 0xA7 { return [] }
        heard[command.code, default: 0] += 1
        guard heard[command.code, default: 0] > configuration.deafFor, !configuration.silent.contains(command.code)
        else { return [] }
        log.append(command.code)
        guard !configuration.unsupported.contains(command.code) else { return refuse(command, reason: 0x05) }
        guard command.code != 0xAE else { return erase(command) }
        guard let code = ContecOximeterCommand.Code(rawValue: command.code) else {
            return refuse(command, reason: 0x05)
        }
        switch code {
        case .startLive:
            lastKeepAlive = now
            if case .live = state { return [] }
            streamed = 0
            state = .live(since: now, sent: 0)
            return []
        case .stopLive, .stopDownload: return stop(code, at: now)
        case .download: return download(command, at: now)
        case .keepAlive:
            lastKeepAlive = now
            return []
        default: return answers(code, command).map(\.wire)
        }
    }

    private func refuse(_ command: ContecOximeterHeardCommand, reason: UInt8) -> [[UInt8]] {
        [ContecOximeterFrame.feedback(command: command.code, reason: reason).wire]
    }

    private mutating func erase(_ command: ContecOximeterHeardCommand) -> [[UInt8]] {
        eraseCommands += 1
        if configuration.eraseReason == 0x00, !configuration.erasesNothing {
            memory.removeAll {
                $0.user == command.parameter(0) && (command.parameter(1) == 0xFF || $0.segment == command.parameter(1))
            }
        }
        return refuse(command, reason: configuration.eraseReason)
    }

    private mutating func stop(_ code: ContecOximeterCommand.Code, at now: UInt64) -> [[UInt8]] {
        let free = ContecOximeterFrame.free.wire
        switch (state, code) {
        case (.live(_, let sent), .stopLive):
            state = .idle
            let frames = (0..<configuration.stragglers).map { liveFrame(sent + $0) }
            return portioned(frames.flatMap { $0 }) + [free]
        case (.dump(let night, _, let sent, _), .stopDownload):
            state = .idle
            let frames = (0..<configuration.stragglers).compactMap { storageFrame(sent + $0, of: memory[night]) }
            return portioned(frames.flatMap { $0 }) + [free]
        default: return [free]
        }
    }

    private mutating func download(_ command: ContecOximeterHeardCommand, at now: UInt64) -> [[UInt8]] {
        if case .live = state { return refuse(command, reason: configuration.recordingReason ?? 0x03) }
        if let reason = configuration.recordingReason { return refuse(command, reason: reason) }
        guard
            let night = memory.firstIndex(where: {
                $0.user == command.parameter(0) && $0.segment == command.parameter(1)
            })
        else { return [] }
        streamed = 0
        state = .dump(night: night, since: now, sent: 0, bytes: 0)
        return portioned((0..<configuration.liveFramesBeforeStorage).flatMap(liveFrame))
    }

    private func answers(
        _ code: ContecOximeterCommand.Code, _ command: ContecOximeterHeardCommand
    ) -> [ContecOximeterFrame] {
        let place = command.place
        let night = memory.first { $0.user == place.user && $0.segment == place.segment }
        let start = night?.start
        switch code {
        case .version: return [.version(0, 7)]
        case .model:
            let text = Self.padded(configuration.model, to: 12)
            return [.model(index: 0, text: Array(text[..<6])), .model(index: 1, text: Array(text[6...]))]
        case .vendor: return [.vendor(Self.padded(configuration.vendor, to: 7))]
        case .identifier: return [.identifier(Self.padded(configuration.serial, to: 7))]
        case .user: return [.user(index: command.parameter(0), name: Self.padded("user", to: 6))]
        case .userCount: return [.userCount(UInt8(clamping: Set(memory.map(\.user)).count))]
        case .segmentCount:
            let count = memory.count { $0.user == command.parameter(0) }
            return [.segmentCount(user: command.parameter(0), count: UInt8(clamping: count))]
        case .startTime:
            let century = UInt8(start.map { $0.year / 100 } ?? 0)
            return [
                .startDate(
                    place, century: century, year: UInt8(start.map { $0.year % 100 } ?? 0),
                    month: UInt8(start?.month ?? 0), day: UInt8(start?.day ?? 0)),
                .startTime(
                    place, hour: UInt8(start?.hour ?? 0), minute: UInt8(start?.minute ?? 0),
                    second: UInt8(start?.second ?? 0), last: 0),
            ]
        case .length: return [.length(place, UInt32((night?.seconds ?? 0) * (configuration.hasPerfusion ? 4 : 2)))]
        case .perfusionSupport: return [.perfusionSupport(configuration.hasPerfusion ? 0 : 1)]
        case .storedData: return [.notice(kind: 1, [memory.isEmpty ? 0 : 1])]
        case .setDate, .setTime: return [.feedback(command: code.rawValue, reason: 0)]
        case .unexplained:
            let spaces = Array(repeating: UInt8(0x20), count: 7)
            return [.unexplained13(spaces), .unexplained14(spaces.prefix(5) + [0, 0])]
        case .storageFormat: return [.storageFormat(place, configuration.hasPerfusion ? 0xA1 : 0xA0, [])]
        case .startLive, .stopLive, .download, .stopDownload, .keepAlive: return []
        }
    }

    private static func padded(_ text: String, to count: Int) -> [UInt8] {
        let bytes = Array(text.utf8.prefix(count))
        return bytes + Array(repeating: 0x20, count: count - bytes.count)
    }

    // MARK: Streams

    private func isStalled(_ sent: Int) -> Bool { configuration.stallsAfter.map { sent >= $0 } ?? false }

    private mutating func stream(until now: UInt64) -> [[UInt8]] {
        switch state {
        case .idle, .off: return []
        case .live(let since, let sent): return streamLive(since: since, sent: sent, until: now)
        case .dump(let night, let since, let sent, let bytes):
            return streamMemory(memory[night], night, since: since, sent: sent, bytes: bytes, until: now)
        }
    }

    private mutating func streamLive(since: UInt64, sent: Int, until now: UInt64) -> [[UInt8]] {
        if let limit = configuration.keepAliveLimit, now >= lastKeepAlive + UInt64(limit) * 1_000_000_000 {
            state = .idle
            return []
        }
        var sent = sent
        var frames: [UInt8] = []
        let due = Int((now - min(now, since)) * 60 / 1_000_000_000)
        while sent < due, !isStalled(sent) {
            frames += liveFrame(sent)
            sent += 1
            if let last = configuration.switchesOffAfter, sent >= last { return switchOff(after: frames) }
        }
        state = .live(since: since, sent: sent)
        return portioned(frames)
    }

    private mutating func streamMemory(
        _ night: ContecOximeterNight, _ number: Int, since: UInt64, sent: Int, bytes: Int, until now: UInt64
    ) -> [[UInt8]] {
        var (sent, bytes) = (sent, bytes)
        var frames: [UInt8] = []
        let due = Int((now - min(now, since)) / 1000) * configuration.speed / 1_000_000
        while bytes < due, !isStalled(sent) {
            guard let frame = storageFrame(sent, of: night) else {
                state = .idle
                return portioned(frames)
            }
            frames += frame
            bytes += frame.count
            sent += 1
            if let last = configuration.switchesOffAfter, sent >= last { return switchOff(after: frames) }
        }
        state = .dump(night: number, since: since, sent: sent, bytes: bytes)
        return portioned(frames)
    }

    private mutating func switchOff(after frames: [UInt8]) -> [[UInt8]] {
        state = .off
        return portioned(frames) + [ContecOximeterFrame.disconnecting(reason: 0x01).wire]
    }

    private func liveFrame(_ index: Int) -> [UInt8] {
        ContecOximeterFrame.realTime(
            configuration.finger.realTime(at: index, perfusion: configuration.hasPerfusion)
        ).wire
    }

    /// Nil after the last.
    private func storageFrame(_ index: Int, of night: ContecOximeterNight) -> [UInt8]? {
        guard !configuration.hasPerfusion else {
            guard index < night.seconds else { return nil }
            return ContecOximeterFrame.storedWithPerfusion(night.stored(at: index, perfusion: true)).wire
        }
        let seconds = 3 * index..<min(3 * index + 3, max(night.seconds, 3 * index))
        guard !seconds.isEmpty else { return nil }
        return ContecOximeterFrame.stored(seconds.map { night.stored(at: $0, perfusion: false) }).wire
    }

    /// What of a stream arrives, and in which portions.
    private mutating func portioned(_ bytes: [UInt8]) -> [[UInt8]] {
        guard !bytes.isEmpty else { return [] }
        var arriving: [UInt8] = []
        for byte in bytes {
            if !configuration.lostBytes.contains(streamed) { arriving.append(byte) }
            streamed += 1
        }
        guard let largest = configuration.portions, largest > 0 else { return [arriving] }
        var portions: [[UInt8]] = []
        while !arriving.isEmpty {
            scatter = ContecOximeterNight.scramble(scatter)
            let count = min(arriving.count, 1 + Int(scatter % UInt64(largest)))
            portions.append(Array(arriving[..<count]))
            arriving.removeFirst(count)
        }
        return portions
    }
}
