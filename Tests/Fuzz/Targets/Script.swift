import Clinical
import Devices
public import Wire

/// What happens in a session of any driver, as bytes: the goal, then events: what kind, how many bytes, the bytes.
public struct Script {
    enum Event {
        case received([UInt8], endpoint: UInt8?)
        case sent([UInt8])
        /// Nanoseconds.
        case pause(UInt64)
        case stop
        case gone
    }

    private(set) var goal = SessionGoal.identify
    private(set) var events: [Event] = []

    public init(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let first = try? reader.u8() else { return }
        goal = [.identify, .live, .download(known: [])][Int(first % 3)]
        while let kind = try? reader.u8(), let count = try? reader.u8() {
            let length = kind % 8 < 5 ? min(Int(count), reader.remaining) : 0
            let content = (try? reader.bytes(length)).map(Array.init) ?? []
            switch kind % 8 {
            case 0...2: events.append(.received(content, endpoint: nil))
            case 3: events.append(.received(content, endpoint: 0x83))
            case 4: events.append(.sent(content))
            case 5, 6: events.append(.pause(UInt64(count) * 20_000_000))
            default: events.append(count < 128 ? .stop : .gone)
            }
        }
    }

    /// As `replay` takes it: what the host said is a line of it, stops and pulled cables are not.
    public var transcript: Transcript {
        var after = 0.0
        return Transcript(
            events: events.compactMap { event in
                switch event {
                case .received(let bytes, let endpoint):
                    defer { after = 0 }
                    return TranscriptEvent(
                        kind: .fromDevice, endpoint: endpoint ?? 0x81, bytes: bytes, after: after)
                case .sent(let bytes):
                    defer { after = 0 }
                    return TranscriptEvent(kind: .toDevice, endpoint: 0x01, bytes: bytes, after: after)
                case .pause(let nanoseconds):
                    after += Double(nanoseconds) / 1e9
                    return nil
                case .stop, .gone: return nil
                }
            })
    }

    /// The script of a recorded conversation, to identify; its first byte is the goal.
    /// - Parameter limit: bytes; the rest is left out.
    public static func rendered(_ transcript: Transcript, limit: Int) -> [UInt8] {
        var script: [UInt8] = [0]
        for event in transcript.events where script.count < limit {
            if event.after >= 0.02 { script += [5, UInt8(min(255, event.after / 0.02))] }
            guard event.kind == .toDevice || event.kind == .fromDevice else { continue }
            for at in stride(from: 0, to: event.bytes.count, by: 255) {
                let part = event.bytes[at..<min(at + 255, event.bytes.count)]
                script += [event.kind == .toDevice ? 4 : event.endpoint == 0x83 ? 3 : 0, UInt8(part.count)] + part
            }
        }
        return script
    }
}
