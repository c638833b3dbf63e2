import Clinical
public import Formats

/// What is technically wrong with the signals of a running recording; an empty list takes the last one back.
public struct LiveQuality: Codable, Sendable, Equatable {
    public var recording: String
    /// Up to here the signals were looked at, seconds from the recording's first sample.
    public var at: Double
    public var hints: [QualityHint]
}

/// What is technically wrong with the signals of a recording.
public struct QualityView: Codable, Sendable, Equatable {
    /// Seconds that were looked at, from the first sample.
    public var seconds: Double
    public var hints: [QualityHint]

    @concurrent
    init(_ waveform: Waveform, notes: [Note]) async {
        seconds = min(waveform.seconds, QualityMonitor.longest)
        hints = QualityMonitor.hints(of: waveform, notes: notes)
    }
}

/// The monitor of a session that somebody watches, from the moment when somebody does.
struct WatchedQuality {
    private var monitor: QualityMonitor?
    /// Seconds of the recording before the monitor began.
    private var offset = 0.0
    private var done = 0.0
    private(set) var last: LiveQuality?

    /// - Returns: what holds now, when that is another thing than before.
    mutating func append(_ block: Block, of recording: LiveRecording) -> LiveQuality? {
        var monitor = self.monitor ?? QualityMonitor(channels: recording.channels)
        let rates = recording.channels.map(\.rate.value)
        let fastest = rates.indices.max { rates[$0] < rates[$1] }
        guard let fastest, recording.position.indices.contains(fastest) else { return nil }
        let position = Double(recording.position[fastest]) / rates[fastest]
        if self.monitor == nil {
            // `position` counts this block already.
            offset = position - Double(block.samples[fastest].count) / rates[fastest]
        }
        monitor.append(block.samples, lost: block.gap != nil)
        self.monitor = monitor
        let hints = monitor.current.map { hint in
            var hint = hint
            hint.at += offset
            return hint
        }
        func marks(_ hints: [QualityHint]) -> [String] {
            hints.map { "\($0.kind.rawValue) \($0.channels) \($0.frequency ?? 0)" }
        }
        guard marks(hints) != marks(last?.hints ?? []) else { return nil }
        let now = LiveQuality(recording: recording.recording, at: position, hints: hints)
        last = now
        return now
    }
}
