public import Clinical

/// What a recording's binding came to when it began.
public enum Attribution: Sendable, Equatable, Codable {
    case attributed(visit: String)
    /// No binding was given, or the visit that it names was not open at that moment.
    case unattributed
    /// What the recording says of its owner contradicts the visit's patient: kept, nobody's until a person decides.
    case held([Contradiction])
}

/// What became of an import.
public enum ImportOutcome: Sendable, Equatable, Codable {
    case stored(Attribution)
    /// The same source is already here, complete.
    case alreadyStored(RecordingID)
}

/// Why a recording is nobody's although a visit was open: both identities, for a person to decide.
public struct Hold: Sendable, Equatable, Codable {
    /// The visit that was open.
    public var visit: String
    public var contradictions: [Contradiction]
    /// Unix time in milliseconds.
    public var at: Int64

    public init(visit: String, contradictions: [Contradiction], at: Int64) {
        self.visit = visit
        self.contradictions = contradictions
        self.at = at
    }
}

/// How far the server knows the facts of a document.
public enum FactsState: String, Sendable, Codable { case none, preliminary, final }

/// How far the upload of a document's bytes has come.
public enum UploadState: Sendable, Equatable, Codable {
    case none
    /// A creation was, or is about to be, sent; its answer is not known.
    case creating
    /// Where, and how many bytes the server has confirmed.
    case created(location: String, confirmed: Int)
}

/// A document and how far it has come. Computed from receipts, not from hopes.
public struct DocumentStatus: Sendable, Equatable, Codable {
    public enum Stage: String, Sendable, Codable, CaseIterable { case waiting, sending, received, quarantined }

    public var document: Document
    public var stage: Stage
    public var upload: UploadState
    public var facts: FactsState
    /// The latest one.
    public var receipt: Receipt?
    /// Failures since the last progress.
    public var attempts: Int
    public var lastError: String?
    /// Unix time in milliseconds before which it is not tried again; 0 when it may be tried at once.
    public var notBefore: Int64
    /// Why it is quarantined.
    public var quarantine: String?
}

/// A recording at a glance, without any identity.
public struct RecordingSummary: Sendable, Equatable, Codable, Identifiable {
    public var id: RecordingID
    public var kind: Recording.Kind
    public var modality: Recording.Modality
    public var origin: Recording.Origin
    public var device: DeviceIdentity
    public var state: Recording.State
    public var endReason: Recording.EndReason?
    /// With a person's start time in place of a missing one.
    public var clock: ClockFacts
    /// The binding that holds; nil = unattributed.
    public var binding: Binding?
    /// Waits for a decision because identities contradict each other.
    public var isHeld: Bool
    /// Why nobody's; nil when a binding holds.
    public var unattributed: UnattributedReason?
    /// A complete recording of the same source took its place: kept, never sent.
    public var supersededBy: RecordingID?
    /// Samples per channel.
    public var samples: [Int]
    /// The longest channel.
    public var seconds: Double
    /// Original bytes.
    public var bytes: Int
    /// Single values were read out.
    public var hasReadings: Bool
    public var documents: [DocumentStatus]
    /// When its data were destroyed here, after the server's receipts: Unix time in milliseconds.
    public var purgedAt: Int64?
    /// Grows with every change that could make frozen bytes wrong; `freeze` wants it back.
    public var revision: Int

    /// Sealed, with samples, and nobody has said when it began.
    public var needsStart: Bool {
        state != .open && supersededBy == nil && documents.isEmpty && clock.source == .unknown && !isEmpty
    }

    /// It ended before anything was recorded.
    public var isEmpty: Bool {
        state != .open && bytes == 0 && !hasReadings && documents.isEmpty && !samples.contains { $0 > 0 }
    }
}

/// Everything about a recording but its samples. Holds identities: for the page and for freezing, never for a log.
public struct RecordingDetail: Sendable, Equatable, Codable {
    public var summary: RecordingSummary
    /// With the effective clock.
    public var recording: Recording
    /// What the clocks said at the capture, untouched.
    public var rawClock: ClockFacts
    /// The whole history, oldest first.
    public var bindings: [Binding]
    /// What was held against the visit, whether or not it is decided by now.
    public var hold: Hold?
    public var notes: [Note]

    /// What a person decided about a hold (who, when and why), or nil while it waits.
    public var decision: Binding? { hold == nil ? nil : bindings.last { $0.reason == .decision } }
}

/// How many of each there are, for one line on the page.
public struct StatusCounts: Sendable, Equatable, Codable {
    /// Recordings being written.
    public var open = 0
    /// Recordings sealed and bound that still have to be frozen.
    public var toFreeze = 0
    /// Documents that wait for their turn.
    public var waiting = 0
    /// Documents whose sending has begun.
    public var sending = 0
    /// Documents with a receipt.
    public var received = 0
    public var quarantined = 0
    /// Recordings that are nobody's, held ones included.
    public var unattributed = 0
    /// Recordings held because of a contradiction.
    public var held = 0
    public var needingStart = 0
    /// All recordings that were ever begun here.
    public var recordings = 0

    public init() {}
}
