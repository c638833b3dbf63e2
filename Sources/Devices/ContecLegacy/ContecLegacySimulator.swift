/// Plays an old CMS50: streams by itself, and answers F5 F5 with its night (devices.md 3.10).
public struct ContecLegacySimulator: DeviceSimulator {
    public struct Configuration: Sendable {
        public var night: ContecOximeterNight? = ContecOximeterNight(start: nil, seconds: 600)
        public var finger = ContecOximeterNight(start: nil, seconds: 3600, seed: 7)
        /// The E and F have hours and minutes, the D+ has nothing.
        public var hasClock = true
        public var damagesHeader = false
        public var hasOddLength = false
        /// Streams only after F6 F6 F6.
        public var isMute = false
        /// So many F5 F5 are not heard.
        public var deafFor = 0
        /// After so many stored samples nothing comes any more.
        public var stallsAfter: Int?

        public init() {}
    }

    private enum State: Equatable {
        case idle
        case live(since: UInt64?, sent: Int)
        case dump(since: UInt64, sent: Int)
        case dead
    }

    private let configuration: Configuration
    private var state: State
    private var heard: [UInt8] = []
    private var asked = 0
    /// Everything that the host wrote.
    public private(set) var log: [UInt8] = []

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        state = configuration.isMute ? .idle : .live(since: nil, sent: 0)
    }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        var answers = tick(at: now)
        log += bytes
        for byte in bytes {
            heard.append(byte)
            if heard.suffix(2) == [0xF5, 0xF5] {
                heard = []
                asked += 1
                guard asked > configuration.deafFor, let night = configuration.night, state != .dead else { continue }
                state = .dump(since: now, sent: 0)
                answers.append(head(night))
            } else if heard.suffix(3) == [0xF6, 0xF6, 0xF6] {
                heard = []
                if state != .dead { state = .live(since: now, sent: 0) }
            }
        }
        heard = Array(heard.suffix(3))
        return answers
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        switch state {
        case .idle, .dead: return []
        case .live(let since, var sent):
            let since = since ?? now
            var bytes: [UInt8] = []
            while UInt64(sent + 1) * 1_000_000_000 / 60 <= now - min(since, now) {
                bytes += ContecLegacyFrame(configuration.finger.realTime(at: sent, perfusion: false)).bytes
                sent += 1
            }
            state = .live(since: since, sent: sent)
            return bytes.isEmpty ? [] : [bytes]
        case .dump(let since, var sent):
            guard let night = configuration.night else { return [] }
            var bytes: [UInt8] = []
            // 19200 baud with parity carry 1745 bytes a second: 581 samples.
            while sent < night.seconds, UInt64(sent) * 1_000_000_000 / 581 <= now - min(since, now) {
                if let last = configuration.stallsAfter, sent >= last {
                    state = .dead
                    return bytes.isEmpty ? [] : [bytes]
                }
                let sample = night.stored(at: sent, perfusion: false)
                bytes += [0xF0 | sample.pulse >> 7, 0x80 | sample.pulse, sample.spo2 & 0x7F]
                sent += 1
            }
            state = sent < night.seconds ? .dump(since: since, sent: sent) : .idle
            return bytes.isEmpty ? [] : [bytes]
        }
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        switch state {
        case .idle, .dead: nil
        case .live(let since, let sent):
            since.map { max($0 + UInt64(sent + 1) * 1_000_000_000 / 60 + 1, now + 1) } ?? now + 1
        case .dump: now + 20_000_000
        }
    }

    /// Three headers and the length.
    private func head(_ night: ContecOximeterNight) -> [UInt8] {
        let header: [UInt8] = configuration.hasClock ? [0xF2, 0x80 | 22, 0x80 | 40] : [0xF2, 0x80, 0x00]
        let length = 3 * night.seconds - 1 + (configuration.hasOddLength ? 1 : 0)
        let straggler = ContecLegacyFrame(configuration.finger.realTime(at: 0, perfusion: false)).bytes
        let second = configuration.damagesHeader ? Array(header.prefix(1)) + straggler : header
        return header + second + header
            + [0x80 | UInt8(length >> 14 & 0x7F), 0x80 | UInt8(length >> 7 & 0x7F), UInt8(length & 0x7F)]
    }
}
