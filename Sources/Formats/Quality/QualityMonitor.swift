public import Clinical

/// Watches the signals of a recording second by second, while it runs or afterwards, and says what is technically wrong with
/// them (`QualityHint`). ECG leads are watched for everything; other signals only for gaps.
public struct QualityMonitor: Sendable {
    /// Longest stretch that `hints(of:)` looks at, seconds: a Holter's day would take too long for an answer.
    public static let longest = 3600.0
    /// More findings than a person could read are not kept; the live ones still are.
    private static let limit = 1000
    /// Seconds that hum has to last.
    private static let humSeconds = 3

    private struct Span {
        var finding: Finding
        var channel: Int?
        var first: Int
        /// The second after the last one.
        var end: Int
        var value: Double?
    }

    private let channels: [Channel]
    private let leads: [LeadQuality?]
    private var pending: [[Sample]]
    /// Seconds that are done.
    private var second = 0
    private var history: [SecondQuality] = []
    private var open: [Span] = []
    private var closed: [Span] = []
    private var polarity: ArmLeads

    public init(channels: [Channel]) {
        self.channels = channels
        leads = channels.map(LeadQuality.init)
        pending = channels.map { _ in [] }
        polarity = ArmLeads(channels)
    }

    /// All findings of a recording; of a long one, in its first hour.
    /// - Parameter notes: what was kept with it: where the device or the cable lost something is a gap, as it was while it was
    ///   recorded; the samples themselves have no hole there.
    public static func hints(of waveform: Waveform, notes: [Note] = []) -> [QualityHint] {
        var monitor = QualityMonitor(channels: waveform.channels)
        let seconds = min(waveform.seconds, longest)
        let losses = Set(
            notes.lazy.filter { $0.kind == .gap }.compactMap(\.at).compactMap { Int(exactly: $0.rounded(.down)) })
        for second in 0..<Int(seconds) {
            monitor.append(
                zip(waveform.channels, waveform.samples).map { channel, samples in
                    let from = min(samples.count, Self.index(second, channel.rate))
                    return Array(samples[from..<min(samples.count, Self.index(second + 1, channel.rate))])
                }, lost: losses.contains(second))
        }
        return monitor.hints
    }

    private static func index(_ second: Int, _ rate: Ratio) -> Int {
        let product = second.multipliedReportingOverflow(by: rate.numerator)
        return product.overflow ? .max : product.partialValue / rate.denominator
    }

    /// - Parameters:
    ///   - samples: one array per channel, what came next.
    ///   - lost: the device or the cable lost something right before.
    public mutating func append(_ samples: [[Sample]], lost: Bool = false) {
        guard samples.count == channels.count else { return }
        for index in samples.indices { pending[index] += samples[index] }
        if lost { extend(Finding(kind: .gap), channel: nil, value: nil) }
        while let needed = needed() {
            evaluate(needed)
            for index in needed.indices { pending[index].removeFirst(needed[index]) }
        }
    }

    /// Samples of each channel that make up the next second; nil while one is still short of them.
    private func needed() -> [Int]? {
        guard !channels.isEmpty else { return nil }
        var counts: [Int] = []
        for (index, channel) in channels.enumerated() {
            let count = Self.index(second + 1, channel.rate) - Self.index(second, channel.rate)
            guard count >= 0, pending[index].count >= count else { return nil }
            counts.append(count)
        }
        return counts.contains { $0 > 0 } || second < 1 << 20 ? counts : nil
    }

    private mutating func evaluate(_ counts: [Int]) {
        let windows = zip(pending, counts).map { $0[..<$1] }
        let present = windows.filter { !$0.isEmpty }
        if !present.isEmpty, present.allSatisfy({ $0.allSatisfy { $0 == .absent } }) {
            extend(Finding(kind: .gap), channel: nil, value: nil)
        } else {
            for (index, lead) in leads.enumerated() {
                guard let lead, !windows[index].isEmpty else { continue }
                for found in lead.findings(windows[index]) { extend(found.finding, channel: index, value: found.value) }
            }
        }
        history.append(SecondQuality(windows: windows, leads: leads))
        if history.count > SecondQuality.memory { history.removeFirst() }
        for (index, lead) in leads.enumerated() where lead != nil {
            if let range = SecondQuality.wander(history, index) {
                extend(Finding(kind: .baselineWander), channel: index, value: range)
            }
        }
        if let opposition = polarity.opposition(windows) {
            extend(Finding(kind: .armLeadSwap), channel: polarity.one, value: opposition)
        }
        second += 1
        let over = open.filter { $0.end < second }
        open.removeAll { $0.end < second }
        for span in over where Self.counts(span) && closed.count < Self.limit { closed.append(span) }
    }

    private mutating func extend(_ finding: Finding, channel: Int?, value: Double?) {
        if let place = open.firstIndex(where: { $0.finding == finding && $0.channel == channel }) {
            open[place].end = second + 1
            if let value, value.magnitude > (open[place].value ?? 0).magnitude { open[place].value = value }
        } else {
            open.append(Span(finding: finding, channel: channel, first: second, end: second + 1, value: value))
        }
    }

    private static func counts(_ span: Span) -> Bool {
        span.finding.kind != .mainsHum || span.end - span.first >= humSeconds
    }

    /// What holds in the last second that is complete.
    public var current: [QualityHint] { grouped(open.filter { $0.end >= second && Self.counts($0) }) }

    /// Everything that was found so far, in the order of its beginning.
    public var hints: [QualityHint] { grouped(closed + open.filter(Self.counts)) }

    /// Leads that show the same at the same time are one hint.
    private func grouped(_ spans: [Span]) -> [QualityHint] {
        struct Key: Hashable {
            var finding: Finding
            var first: Int
            var end: Int
        }
        var order: [Key] = []
        var members: [Key: [Span]] = [:]
        for span in spans {
            let key = Key(finding: span.finding, first: span.first, end: span.end)
            if members[key] == nil { order.append(key) }
            members[key, default: []].append(span)
        }
        return order.enumerated().sorted { ($0.element.first, $0.offset) < ($1.element.first, $1.offset) }.map {
            entry in
            let (key, spans) = (entry.element, members[entry.element] ?? [])
            let places = spans.compactMap(\.channel).sorted()
            return QualityHint(
                kind: key.finding.kind,
                channels: places.isEmpty ? channels.map(\.name) : places.map { channels[$0].name },
                at: Double(key.first), duration: Double(key.end - key.first),
                value: spans.compactMap(\.value).max { $0.magnitude < $1.magnitude }.map {
                    ($0 * 100).rounded() / 100
                }, frequency: key.finding.frequency)
        }
    }
}

/// What a second of a lead can show.
struct Finding: Hashable, Sendable {
    var kind: QualityHint.Kind
    var frequency: Int?

    init(kind: QualityHint.Kind, frequency: Int? = nil) {
        self.kind = kind
        self.frequency = frequency
    }
}
