import Clinical
import Wire

/// Understands what a device says, whoever leads the conversation: the driver, or somebody else to whom `PhdcListener`
/// listens. Reports are in `+Reports`, stored segments in `+Segments`.
struct PhdcConversation: Sendable {
    /// What an answer to an event would have to be.
    enum Verdict: Sendable, Equatable {
        case accepted
        case noSuchEvent
        case noSuchObject
        case malformed
        /// A segment is being transferred: the device must keep this for later.
        case busy
    }

    /// Bytes of the association that wait for a recording; the last ones are kept.
    static let leadInLimit = 256 << 10
    static let noteLimit = 400
    static let surpriseLimit = 1000
    /// A block is due after a second, or after so many bytes.
    static let blockLimit = 256 << 10
    static let second: UInt64 = 1_000_000_000

    let isListening: Bool
    /// What need not be told again.
    var known: KnownItems = []
    /// When the session began, on the host's monotonic clock.
    var began: UInt64?
    /// What the device's clock showed, and when it was asked.
    private(set) var clock: (time: LocalTime, at: UInt64)?
    var nameplate = PhdcNameplate()
    var configuration: PhdcConfiguration?
    /// What an earlier proposal replaced, in case that the other side refuses the new one.
    private var replaced: PhdcConfiguration?
    var open: PhdcOpenRecording?
    /// Report numbers by source; stamps of sample arrays by handle.
    var numbers: [UInt32: UInt16] = [:]
    var stamps: [UInt16: UInt32] = [:]
    var stores: [UInt16: [PhdcAttribute]] = [:]
    var segments: [PhdcSegmentKey: PhdcSegment] = [:]
    /// Bytes before the message that is being understood: of the recording that is open, or of the next one.
    private var raw: [UInt8] = []
    /// The message that is being understood. Whose bytes these are is known only when it was: a report may end one recording and
    /// begin another, and its bytes belong where its values are.
    private var current: [UInt8] = []
    /// It is in `raw` already (of the recording that is open, or of one before), or in nobody's.
    private var isGiven = true
    private var waitingNotes: [Note] = []
    private var configurationNote: String?
    private var announced: DeviceIdentity?
    private var surprises = 0
    /// Persons of whom the device has reported something.
    var persons: Set<UInt16> = []
    /// Live recordings that wait for a decision, because somebody else was measured as well.
    var sharings = 0

    init(isListening: Bool) { self.isListening = isListening }

    // MARK: Bytes

    /// Everything that the device sends goes through here, in order, before it is understood.
    mutating func hear(_ bytes: [UInt8]) {
        give()
        current = bytes
        isGiven = false
    }

    /// The message goes to the recording that is open (without one, to the next), unless somebody has it.
    mutating func give() {
        guard !isGiven else { return }
        isGiven = true
        raw += current
        if open == nil, raw.count > Self.leadInLimit { raw.removeFirst(raw.count - Self.leadInLimit) }
    }

    /// Another recording begins in the middle of a message that feeds both: it gets the whole message as well.
    mutating func giveAgain() {
        isGiven = false
        give()
    }

    /// Everything in the message was kept by an earlier session, with its bytes; in another recording they would be somebody else's.
    mutating func giveToNobody() { isGiven = true }

    mutating func lose(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        if open?.waves.isEmpty == false {
            actions += flush(all: true, at: now)
            open?.gap = "\(bytes.count) bytes were no message"
        }
        return actions + surprise("\(bytes.count) bytes are no message: \(PhdcObservation.shown(bytes.prefix(16)))")
    }

    /// Block by block, so that one commit a second is enough (a confirmed report does not wait for it).
    mutating func flushIfDue(at now: UInt64) -> [DialogueAction] {
        guard let open else { return [] }
        let due = open.began.map { now >= $0 + Self.second } ?? false
        guard due || raw.count >= Self.blockLimit || open.isUneven else { return [] }
        return flush(all: open.isUneven, at: now)
    }

    /// When `flushIfDue` has something to do.
    var flushDeadline: UInt64? { open?.began.map { $0 + Self.second } }

    /// - Parameter isBefore: without the message that is being understood, which may be another recording's.
    mutating func flush(all: Bool, isBefore: Bool = false, at now: UInt64) -> [DialogueAction] {
        if !isBefore { give() }
        guard open != nil else { return [] }
        let (samples, dropped) = open?.take(all: all) ?? ([], 0)
        let hasSamples = samples.contains { !$0.isEmpty }
        guard hasSamples || !raw.isEmpty else { return [] }
        var block = Block(samples: samples, raw: raw, at: now)
        if hasSamples {
            block.gap = open?.gap
            open?.gap = nil
        }
        raw = []
        guard dropped > 0 else { return [.append(block)] }
        return [.append(block)] + note(.gap, "\(dropped) samples of a channel are too far ahead of the others")
    }

    // MARK: Who it is

    /// A new association: everything about the last one is forgotten, but not who the device is.
    mutating func associate(_ information: PhdcAssociationInformation) {
        nameplate.take(systemID: information.systemID)
        configuration = nil
        replaced = nil
        configurationNote = nil
        numbers = [:]
        stamps = [:]
        stores = [:]
        segments = [:]
    }

    /// The bytes before an association belong to nothing.
    mutating func forgetLeadIn() {
        give()
        if open == nil { raw = [] }
    }

    mutating func configure(_ new: PhdcConfiguration, raw bytes: [UInt8]? = nil) {
        replaced = configuration
        configuration = new
        configurationNote = bytes.map {
            "configuration \(phdcHexadecimal(new.id)) as sent: "
                + phdcHexadecimal($0.prefix(8192)).filter { $0 != " " } + ($0.count > 8192 ? " …" : "")
        }
    }

    /// The other side did not accept the last one.
    mutating func refuseConfiguration() {
        configuration = replaced
        configurationNote = nil
    }

    /// A listener says more as it learns more; a driver says it once, before its first recording.
    mutating func announceIdentity() -> [DialogueAction] {
        guard let identity = nameplate.identity, identity != announced, isListening || announced == nil else {
            return []
        }
        announced = identity
        return [.identify(identity)]
    }

    // MARK: Recordings

    mutating func begin(
        _ recording: PhdcOpenRecording, _ modality: Recording.Modality, item: StoredItem? = nil
    ) -> [DialogueAction] {
        var actions = announceIdentity()
        open = recording
        let person = recording.person.flatMap { $0 == PhdcScanReport.nobody ? nil : Int($0) }
        actions.append(
            .begin(
                RecordingStart(
                    kind: recording.kind, modality: modality, channels: recording.waves.map(\.channel), item: item,
                    person: person)))
        if let system = nameplate.systemName { actions += note(.device, "system-id \(system)") }
        if let person { actions += note(.device, "person \(person) of the device") }
        if let configurationNote { actions += note(.device, configurationNote) }
        for object in (configuration?.objects ?? []).prefix(64) {
            guard let type = object.type else { continue }
            let unit = object.unit.map { ", \(PhdcNomenclature.unit($0))" } ?? ""
            actions += note(.device, "object \(object.handle): \(PhdcNomenclature.name(type)), \(type)\(unit)")
        }
        for attribute in nameplate.others.prefix(32) {
            actions += note(
                .device,
                "device attribute \(phdcHexadecimal(attribute.id)): \(PhdcObservation.shown(attribute.value))")
        }
        let waiting = waitingNotes
        waitingNotes = []
        return actions + waiting.map { .note($0) }
    }

    /// Nothing is open afterwards.
    /// - Parameter isBefore: as of `flush`: the message that ends it is the next one's.
    mutating func end(
        _ reason: Recording.EndReason, isBefore: Bool = false, at now: UInt64
    ) -> [DialogueAction] {
        guard let recording = open else { return [] }
        var actions = flush(all: true, isBefore: isBefore, at: now)
        if let gap = open?.gap { actions += note(.gap, gap) }
        if recording.repeated > 0 {
            actions += note(
                .device,
                "\(recording.repeated) values, each the same as within the last second, are in the raw bytes only")
        }
        open = nil
        raw = []
        stamps = [:]
        actions.append(.end(reason))
        return actions
    }

    mutating func note(_ kind: Note.Kind, _ text: String) -> [DialogueAction] {
        let note = Note(kind: kind, at: open?.position, text: text)
        guard let count = open?.notes else {
            if waitingNotes.count < 64 { waitingNotes.append(note) }
            return []
        }
        open?.notes += 1
        if count == Self.noteLimit {
            return [.note(Note(kind: .device, text: "more notes than are kept; the raw bytes have it all"))]
        }
        return count < Self.noteLimit ? [.note(note)] : []
    }

    mutating func surprise(_ text: String) -> [DialogueAction] {
        surprises += 1
        return surprises <= Self.surpriseLimit ? [.surprise(text)] : []
    }

    // MARK: Attributes that were asked for

    /// The answer to a Get.
    mutating func take(_ attributes: [PhdcAttribute], of handle: UInt16, at now: UInt64) -> [DialogueAction] {
        guard handle == 0 else {
            stores[handle] = attributes
            return []
        }
        nameplate.take(attributes, at: now)
        let said = isListening ? announceIdentity() : []
        guard let time = nameplate.clock(in: attributes) else { return said }
        clock = (time, now)
        return said + [.deviceClock(time)]
    }
}
