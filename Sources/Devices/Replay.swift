public import Clinical
public import Wire

/// What a driver understood of a recorded conversation; printed by `replay`, and the form of the expected results of
/// fixtures.
public struct ReplayReport: Sendable, Equatable, Codable {
    /// The last value of a channel that was present, or a discrete value (`Clinical.Reading`).
    public struct Reading: Sendable, Equatable, Codable {
        /// The channel's name, or the discrete value's kind: `systolic`.
        public var name: String
        public var unit: String
        /// In `unit`.
        public var value: Double
        // Of a discrete value only.
        /// The device's clock: `2007-01-03 00:06:51`.
        public var at: String?
        public var rawTime: String?
        public var bank: Int?
        /// The same for values that were measured together.
        public var sequence: Int?
        /// Nil when there are none.
        public var flags: [String]?
        /// The device's own code: `MDC 2:18949`.
        public var code: String?
    }

    public struct Recorded: Sendable, Equatable, Codable {
        public var kind: Recording.Kind
        public var modality: Recording.Modality
        public var source: String?
        /// The device's clock: `2014-08-18 02:38:18`; nil when it has none.
        public var start: String?
        public var rawStart: String?
        /// Nil when the recording never ended.
        public var end: Recording.EndReason?
        /// Samples per channel that the device announced; nil when it did not, and for a live stream.
        public var announced: Int?
        /// Samples per channel that came.
        public var samples: Int
        /// Bytes kept beside them.
        public var bytes: Int
        public var channels: [ChannelSummary]
        /// Discrete values, and the last values of the channels of a live recording.
        public var readings: [Reading]
        public var notes: [Note]
    }

    public struct Surprise: Sendable, Equatable, Codable {
        public var text: String
        public var count: Int
    }

    public var driver: String
    public var identity: DeviceIdentity?
    public var recordings: [Recorded]
    /// What could not be read of the capture, then in the order of their first appearance.
    public var surprises: [Surprise]
    /// Whose conversation this is, where a capture has several that were understood.
    public var from: String?
    /// Those of the capture's other devices; nil without any.
    public var others: [ReplayReport]?

    /// Nothing in the conversation was understood.
    public var isEmpty: Bool { recordings.isEmpty && identity == nil }

    /// Something was measured, or kept.
    public var hasValues: Bool {
        recordings.contains { $0.samples > 0 || $0.bytes > 0 || !$0.readings.isEmpty }
    }
}

/// Lets a driver listen to a conversation, and says what it understood. The same transcript always gives the same report.
/// - Parameter breaks: events before which something is missing of what the device said: what comes behind is never joined to
///   what came before.
public func replay(
    _ transcript: Transcript, breaks: [Int] = [], through profile: DialogueProfile
) -> ReplayReport {
    var collector = ReplayCollector(driver: profile.name)
    var listener = profile.makeListener()
    var breaks = breaks[...]
    var now: UInt64 = 0
    for (index, event) in transcript.events.enumerated() {
        if let place = breaks.first, place <= index {
            breaks = breaks.drop { $0 <= index }
            collector.take(listener.ended(at: now))
            listener = profile.makeListener()
        }
        // A day is more than any pause in a conversation; a larger number in a file must not overflow.
        now += UInt64((min(max(event.after, 0), 86_400) * 1e9).rounded())
        if let endpoint = event.endpoint, endpoint & 0x7F == 0 {
            if event.kind == .toDevice, let report = outputReport(event.bytes, on: profile.transport) {
                collector.take(listener.sent(report, at: now))
            }
            continue
        }
        switch event.kind {
        case .toDevice: collector.take(listener.sent(event.bytes, at: now))
        case .fromDevice: collector.take(listener.received(event.bytes, from: event.endpoint, at: now))
        case .error, .note: break
        }
    }
    collector.take(listener.ended(at: now))
    return collector.report
}

/// The same for what another program captured, or for a transcript. Where it doesn't say which device of the bus is meant, it
/// is the one that the driver understands best; others whose values it understands too are in `others`, each by itself: values
/// of two devices are never one report's.
public func replay(captured bytes: [UInt8], through profile: DialogueProfile) throws(TranscriptError) -> ReplayReport {
    let heard = try Capture.conversations(bytes, wanted: profile.captured).map { Heard($0, profile) }
    // The likeliest comes first, and stays when none is understood better.
    guard var best = heard.first else {
        return replay(Transcript(), through: profile).telling(Capture.damage(bytes))
    }
    for other in heard.dropFirst() where best.understood < other.understood { best = other }
    let others = heard.filter {
        $0.conversation.device != best.conversation.device && $0.understood.0 == 2
            // Noise has a meaning to some drivers now and then; who was introduced is believed.
            && ($0.conversation.isWanted || $0.understood.1 > 0)
    }
    let damage = best.conversation.damage
    guard best.understood.0 == 2, !others.isEmpty else {
        return (replugged(heard, best) ?? best.report).telling(damage)
    }
    var report = best.named
    report.others = others.map(\.named)
    return report.telling(damage)
}

extension ReplayReport {
    /// With what could not be read of the file, in front: it is no conversation's.
    fileprivate func telling(_ damage: Capture.Damage) -> ReplayReport {
        var report = self
        report.surprises = damage.surprises + surprises
        return report
    }
}

extension Capture.Damage {
    fileprivate var surprises: [ReplayReport.Surprise] {
        var told: [ReplayReport.Surprise] = []
        if skipped > 0 {
            let text = "damaged records of the capture were stepped over"
            told.append(ReplayReport.Surprise(text: text, count: skipped))
        }
        if let unread {
            let place = "at byte \(unread.lowerBound)"
            let rest = unread.count == 1 ? "the last byte was not read" : "the last \(unread.count) bytes were not read"
            let text =
                isCut
                ? "the capture is cut within a record \(place), as one that was still being written: \(rest)"
                : "the capture is damaged \(place): \(rest)"
            told.append(ReplayReport.Surprise(text: text, count: 1))
        }
        return told
    }
}

/// A device has another address each time it is plugged in. Where it said who it is at one address and its values at another,
/// and nobody else of its ids was there in the meantime, the report has both, and says so.
private func replugged(_ heard: [Heard], _ best: Heard) -> ReplayReport? {
    let same = heard.filter {
        $0.conversation.isWanted && $0.conversation.span != nil
            && $0.conversation.device?.vendorID == best.conversation.device?.vendorID
            && $0.conversation.device?.productID == best.conversation.device?.productID
    }.sorted { ($0.conversation.span?.lowerBound ?? 0) < ($1.conversation.span?.lowerBound ?? 0) }
    // Some drivers know a model by its ids alone: no device said that.
    let named = same.compactMap(\.report.identity).filter { $0.firmware != nil || $0.serial != nil }
    guard best.conversation.isWanted, best.understood.0 == 2, same.count(where: { $0.understood.0 == 2 }) == 1,
        best.report.identity?.firmware == nil, best.report.identity?.serial == nil,
        let identity = named.first, named.allSatisfy({ $0 == identity }),
        zip(same, same.dropFirst()).allSatisfy({ before, after in
            (before.conversation.span?.upperBound ?? 0) < (after.conversation.span?.lowerBound ?? 0)
        })
    else { return nil }
    var report = best.report
    report.identity = identity
    let places = same.compactMap { $0.conversation.device?.address }.map(String.init).joined(separator: ", ")
    report.surprises.append(
        ReplayReport.Surprise(
            text: "addresses \(places), one after the other, taken as one device that was plugged in again",
            count: same.count))
    return report
}

/// What a driver made of one conversation of a capture.
private struct Heard {
    var conversation: Capture.Conversation
    var report: ReplayReport

    init(_ conversation: Capture.Conversation, _ profile: DialogueProfile) {
        self.conversation = conversation
        report = replay(conversation.transcript, breaks: conversation.breaks, through: profile)
        guard conversation.cuts > 0 else { return }
        report.surprises.append(
            ReplayReport.Surprise(
                text: "transfers are cut by the capture, at \(conversation.shown) bytes, and were left out: "
                    + "capture them whole (Wireshark; dumpcap or tcpdump with -s 0)",
                count: conversation.cuts))
    }

    /// How much of it made sense: whether it has any values, or a name; then how many, less what did not.
    var understood: (Int, Int) {
        let values = report.recordings.reduce(0) { $0 + $1.samples + $1.readings.count }
        let strange = report.surprises.reduce(0) { $0 + $1.count } - conversation.cuts
        return (values > 0 ? 2 : report.identity != nil ? 1 : 0, values - strange)
    }

    /// Saying which device it is about.
    var named: ReplayReport {
        var report = report
        report.from = conversation.device?.description
        return report
    }
}

extension Capture.Device {
    /// `bus 1, address 5 (0590:0028)`
    public var description: String { "bus \(bus), address \(address)" + (identity.map { " (\($0))" } ?? "") }

    private var identity: String? {
        guard let vendorID, let productID else { return nil }
        return "\(vendorID):\(productID)"
    }

    /// `0590:0028 (omron-pressure)`: with the drivers that know it.
    public var introduction: String {
        guard let identity else { return "a device without descriptors at bus \(bus), address \(address)" }
        let drivers = Registry.dialogues.filter { profile in
            profile.captured.contains { $0.vendorID == vendorID && $0.productID == productID && $0.interface == nil }
        }
        return identity + (drivers.isEmpty ? "" : " (\(drivers.map(\.name).joined(separator: ", ")))")
    }
}

extension DialogueProfile {
    /// By what its devices are found in a capture of a whole bus.
    public var captured: [Capture.Wanted] {
        (matches + choices).compactMap { match in
            if let interface = match.interface { return Capture.Wanted(interface: interface) }
            guard let vendor = match.vendorID, let product = match.productID else { return nil }
            return Capture.Wanted(vendorID: vendor, productID: product)
        }
    }
}

/// What a transfer on the control endpoint says to the device: an output report, which a HID interface without an OUT endpoint
/// gets that way (HID 1.11, section 7.2.2). Captures have it with its setup packet or without. Everything else there is
/// between the host and the USB stack.
func outputReport(_ bytes: [UInt8], on transport: Transport) -> [UInt8]? {
    guard case .usb(let shape) = transport, case .interrupt(let size, _) = shape.endpoints else { return nil }
    // SET_REPORT: 21 09, report id, type 02 (output), interface, length.
    if bytes.starts(with: [0x21, 0x09]), bytes.count > 8 {
        return bytes[3] == 0x02 ? Array(bytes[8...]) : nil
    }
    // The report alone; never a setup packet, which begins with one of these (USB 2.0, table 9-2).
    let setups: Set<UInt8> = [0x00, 0x01, 0x02, 0x20, 0x21, 0x40, 0x41, 0x80, 0x81, 0xA1, 0xC0, 0xC1]
    guard bytes.count == size, let first = bytes.first, !setups.contains(first) else { return nil }
    return bytes
}

/// Gathers a driver's actions into a report.
private struct ReplayCollector {
    private(set) var report: ReplayReport
    /// Of the recording that is open.
    private var waveform = Waveform(channels: [], samples: [])
    private var isOpen = false

    init(driver: String) {
        report = ReplayReport(driver: driver, identity: nil, recordings: [], surprises: [])
    }

    mutating func take(_ actions: [DialogueAction]) {
        for action in actions { take(action) }
    }

    private mutating func take(_ action: DialogueAction) {
        switch action {
        case .identify(let identity): report.identity = identity
        case .begin(let start): begin(start)
        case .append(let block): append(block)
        case .reading(let reading):
            change {
                $0.readings.append(
                    ReplayReport.Reading(
                        name: reading.kind.rawValue, unit: reading.unit, value: reading.value.value,
                        at: reading.at?.description, rawTime: reading.rawTime, bank: reading.bank,
                        sequence: reading.sequence, flags: reading.flags.isEmpty ? nil : reading.flags,
                        code: reading.code))
            }
        case .note(let note): change { $0.notes.append(note) }
        case .end(let reason): end(reason)
        case .surprise(let text):
            if let index = report.surprises.firstIndex(where: { $0.text == text }) {
                report.surprises[index].count += 1
            } else {
                report.surprises.append(ReplayReport.Surprise(text: text, count: 1))
            }
        case .send, .control, .renew, .ask, .skipped, .deviceClock, .finish: break
        }
    }

    private mutating func begin(_ start: RecordingStart) {
        waveform = Waveform(channels: start.channels, samples: start.channels.map { _ in [] })
        isOpen = true
        report.recordings.append(
            ReplayReport.Recorded(
                kind: start.kind, modality: start.modality, source: start.item?.source,
                start: start.item?.start?.description, rawStart: start.item?.rawStart, end: nil,
                announced: start.item.flatMap { $0.samples > 0 ? $0.samples : nil }, samples: 0, bytes: 0,
                channels: waveform.summaries, readings: [],
                notes: []))
    }

    private mutating func append(_ block: Block) {
        guard isOpen else { return }
        if let gap = block.gap {
            let note = Note(kind: .gap, at: waveform.seconds, text: gap)
            change { $0.notes.append(note) }
        }
        for (index, samples) in block.samples.enumerated() { waveform.samples[index] += samples }
        change { $0.bytes += block.raw.count }
    }

    private mutating func end(_ reason: Recording.EndReason) {
        let waveform = waveform
        change { recorded in
            recorded.end = reason
            recorded.samples = waveform.samples.map(\.count).max() ?? 0
            recorded.channels = waveform.summaries
            guard recorded.kind == .live else { return }
            recorded.readings += zip(waveform.channels, waveform.samples).compactMap { channel, samples in
                guard channel.signal != .plethysmogram, let last = samples.last(where: { $0 != .absent }),
                    let value = channel.physical(last)
                else { return nil }
                return ReplayReport.Reading(name: channel.name, unit: channel.unit, value: value)
            }
        }
        isOpen = false
    }

    private mutating func change(_ body: (inout ReplayReport.Recorded) -> Void) {
        guard isOpen, !report.recordings.isEmpty else { return }
        body(&report.recordings[report.recordings.count - 1])
    }
}
