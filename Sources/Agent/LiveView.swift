public import Clinical
import Synchronization

/// What a screen that follows a running session is told.
public enum LiveEvent: Sendable {
    /// A recording has begun, or was running already when the screen came.
    case begin(LiveRecording)
    case block(LiveBlock)
    /// What is technically wrong with the signals has changed.
    case quality(LiveQuality)
    case end(recording: String, state: Recording.State)
}

public struct LiveRecording: Sendable {
    public var recording: String
    public var modality: Recording.Modality
    public var simulated: Bool
    public var channels: [Channel]
    /// Samples per channel that came before the first block that this screen gets.
    public var position: [Int]
}

public struct LiveBlock: Sendable {
    public var recording: String
    /// Per channel, the number of samples that came before this block. A screen that missed a block sees it here.
    public var first: [Int]
    public var samples: [[Sample]]
    /// The device or the cable lost something right before this block: that is missing in the recording too.
    public var lost: Bool
}

/// One session's tee for screens: lossy, never in the capture's path. A screen that is too slow misses its oldest blocks,
/// never the recorder's time.
final class LiveFeed: Sendable {
    private struct State {
        var current: LiveRecording?
        var screens: [Int: AsyncStream<LiveEvent>.Continuation] = [:]
        var count = 0
        var isOver = false
        var quality = WatchedQuality()
    }

    /// Blocks of about a second each that wait for a slow screen.
    private static let patience = 16
    /// Screens that may follow one session at one time.
    private static let limit = 8
    private let state = Mutex(State())

    func begin(_ recording: Recording) {
        let begun = LiveRecording(
            recording: "\(recording.id)", modality: recording.modality, simulated: recording.origin == .simulated,
            channels: recording.channels, position: recording.channels.map { _ in 0 })
        state.withLock { state in
            state.current = begun
            state.quality = WatchedQuality()
            for screen in state.screens.values { screen.yield(.begin(begun)) }
        }
    }

    /// Called after the block is durable: what is on the screen is on the disk.
    func append(_ block: Block) {
        state.withLock { state in
            guard var current = state.current, current.position.count == block.samples.count else { return }
            let event = LiveEvent.block(
                LiveBlock(
                    recording: current.recording, first: current.position, samples: block.samples,
                    lost: block.gap != nil))
            for (index, samples) in block.samples.enumerated() { current.position[index] += samples.count }
            state.current = current
            for screen in state.screens.values { screen.yield(event) }
            // Only for somebody who looks: it is no part of capturing.
            guard !state.screens.isEmpty, let changed = state.quality.append(block, of: current) else { return }
            for screen in state.screens.values { screen.yield(.quality(changed)) }
        }
    }

    func end(_ ending: Recording.State) {
        state.withLock { state in
            guard let current = state.current else { return }
            state.current = nil
            for screen in state.screens.values { screen.yield(.end(recording: current.recording, state: ending)) }
        }
    }

    /// The session is over.
    func close() {
        let screens = state.withLock { state in
            state.isOver = true
            defer { state.screens = [:] }
            return Array(state.screens.values)
        }
        for screen in screens { screen.finish() }
    }

    /// A screen's view from now on; ends with the session. Nil when too many follow already.
    func follow() -> AsyncStream<LiveEvent>? {
        let (stream, inlet) = AsyncStream.makeStream(
            of: LiveEvent.self, bufferingPolicy: .bufferingNewest(Self.patience))
        let number: Int? = state.withLock { state in
            guard !state.isOver else {
                inlet.finish()
                return -1
            }
            guard state.screens.count < Self.limit else { return nil }
            state.count += 1
            state.screens[state.count] = inlet
            if let current = state.current {
                inlet.yield(.begin(current))
                if let known = state.quality.last { inlet.yield(.quality(known)) }
            }
            return state.count
        }
        guard let number else { return nil }
        inlet.onTermination = { [weak self] _ in
            // Not inside the lock: `finish` above calls this too.
            _ = self?.state.withLock { $0.screens.removeValue(forKey: number) }
        }
        return stream
    }
}
