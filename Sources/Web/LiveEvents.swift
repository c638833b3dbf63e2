import Agent
import Clinical
import FoundationEssentials
import Hummingbird
import NIOCore
import ServiceLifecycle

extension Response {
    /// A running session as server-sent events: `begin`, `block`, `quality`, `end`. Ends with the session, or with the agent.
    static func live(_ events: AsyncStream<LiveEvent>) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                // At once, so that the page knows that it is connected before the first sample.
                try await writer.write(ByteBuffer(string: ": ess-agent\n\n"))
                for await event in events.cancelOnGracefulShutdown() {
                    try await writer.write(ByteBuffer(string: try text(of: event)))
                }
                try await writer.finish(nil)
            })
    }

    private static func text(of event: LiveEvent) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        func line(_ name: String, _ value: some Encodable) throws -> String {
            "event: \(name)\ndata: \(String(decoding: try encoder.encode(value), as: UTF8.self))\n\n"
        }
        return switch event {
        case .begin(let recording): try line("begin", BeginEvent(recording))
        case .block(let block): try line("block", BlockEvent(block))
        case .quality(let quality): try line("quality", quality)
        case .end(let recording, let state):
            try line("end", EndEvent(recording: recording, state: state.rawValue))
        }
    }
}

private struct BeginEvent: Encodable {
    struct ChannelInfo: Encodable {
        var signal: String
        var name: String
        var unit: String
        var rate: Double
        var scale: Double
        var minimum: Int
        var maximum: Int
    }

    var recording: String
    var modality: String
    var simulated: Bool
    var position: [Int]
    var channels: [ChannelInfo]

    init(_ live: LiveRecording) {
        recording = live.recording
        modality = live.modality.rawValue
        simulated = live.simulated
        position = live.position
        channels = live.channels.map {
            ChannelInfo(
                signal: $0.signal.rawValue, name: $0.name, unit: $0.unit, rate: $0.rate.value, scale: $0.scale.value,
                minimum: Int($0.range.lowerBound), maximum: Int($0.range.upperBound))
        }
    }
}

private struct BlockEvent: Encodable {
    var recording: String
    var first: [Int]
    var samples: [PackedSamples]
    var lost: Bool

    init(_ block: LiveBlock) {
        recording = block.recording
        first = block.first
        samples = block.samples.map { PackedSamples($0) }
        lost = block.lost
    }
}

private struct EndEvent: Encodable {
    var recording: String
    var state: String
}
