public import Clinical

// The values that the command line and the page exchange with the daemon. One file: the local contract, golden-tested.
// Names are English, times RFC 3339 or local device time as text, sizes bytes.

public struct StatusView: Codable, Sendable, Equatable {
    public var version: String
    /// One French sentence.
    public var sentence: String
    public var openVisit: String?
    public var devices: Int
    /// Recordings by what they wait for.
    public var counts: Counts
    public var sync: SyncView
    public var freeBytes: Int64?

    public struct Counts: Codable, Sendable, Equatable {
        public var recordings: Int
        public var open: Int
        public var unattributed: Int
        public var needStartTime: Int
        /// Documents not yet received by the server.
        public var waiting: Int
        public var received: Int
        public var quarantined: Int
    }
}

public struct SyncView: Codable, Sendable, Equatable {
    /// `unconfigured`, `offline`, `online`, `sending`, `stopped`.
    public var state: String
    /// One French sentence.
    public var sentence: String
    /// The document being sent, if any.
    public var document: String?
    public var sentBytes: Int?
    public var totalBytes: Int?
    /// Last answer of the server, RFC 3339.
    public var lastContact: String?
    /// Stable key of the last problem.
    public var problem: String?
    /// Technical detail for support, English, no identity.
    public var detail: String?
    /// The last pass went through all lanes and found nothing more to do.
    public var isSettled: Bool

    init(state: String, sentence: String, isSettled: Bool) {
        self.state = state
        self.sentence = sentence
        self.isSettled = isSettled
    }
}

public struct DeviceView: Codable, Sendable, Equatable {
    /// What `start`, `stop` and `download` take: the last part of the device node's path.
    public var name: String
    public var port: String
    public var driver: String
    /// `probing`, `ready`, `capturing`, `downloading`, `not-recognised`, `busy`, `denied`.
    public var state: String
    public var title: String
    public var vendor: String?
    public var model: String?
    public var serial: String?
    public var simulated: Bool
    public var support: String
    public var abilities: [String]
    /// Not recognised, and no probe may find out more: what a person may say it is (`devices identify`). Driver names.
    public var choices: [String]
    /// A person has said what it is.
    public var chosen: Bool
    public var session: SessionView?
}

/// A running or the last session of a device.
public struct SessionView: Codable, Sendable, Equatable {
    /// Counts up with every session of the agent's life; tells a new session from the last one.
    public var id: Int
    /// `live` or `download`.
    public var goal: String
    public var running: Bool
    public var recordings: [RecordingProgress]
    /// Items that were here already.
    public var skipped: Int
    public var problem: Problem?

    public struct RecordingProgress: Codable, Sendable, Equatable {
        public var recording: String
        /// Samples per channel that are safely stored.
        public var samples: Int
        /// Announced by the device, for stored recordings.
        public var expected: Int?
        public var bytes: Int
        public var state: String
    }
}

public struct VisitView: Codable, Sendable, Equatable {
    public var id: String
    public var status: String
    public var plannedAt: String?
    public var place: String?
    public var reason: String?
    public var pathway: String?
    public var patient: PatientView
    public var recordings: Int

    public struct PatientView: Codable, Sendable, Equatable {
        /// The server's: two visits with the same one are the same person's.
        public var id: String
        public var family: String
        public var given: [String]
        public var birthDate: String?
        public var sex: String
        /// INSEE code of the place of birth.
        public var birthPlace: String?
        public var ins: String?
        public var identityStatus: String?
    }
}

public struct RecordingView: Codable, Sendable, Equatable {
    public var id: String
    public var kind: String
    public var modality: String
    public var origin: String
    /// `open`, `complete`, `interrupted`.
    public var state: String
    public var endReason: String?
    public var device: String
    public var serial: String?
    public var support: String
    public var visit: String?
    /// How it got its visit: `openVisit`, `loan` or `decision`.
    public var binding: String?
    /// Why it has none, for a program: `noVisit`, `overlappingLoans`, … (`UnattributedReason`).
    public var unattributed: String?
    /// Why it has none, or why it waits; French.
    public var attention: String?
    public var start: String?
    public var startSource: String
    public var seconds: Double
    public var originalBytes: Int
    public var supersededBy: String?
    public var documents: [DocumentView]
}

public struct DocumentView: Codable, Sendable, Equatable {
    public var id: String
    public var role: String
    public var mediaType: String
    public var size: Int
    public var sha256: String
    /// `waiting`, `sending`, `received`, `quarantined`.
    public var state: String
    public var confirmedBytes: Int
    public var receipt: ReceiptView?
    public var lastError: String?

    public struct ReceiptView: Codable, Sendable, Equatable {
        public var sha256: String
        public var size: Int
        public var storedAt: String
        public var durability: String
        public var storeEpoch: String
        /// Receipt, document and local bytes agree.
        public var matches: Bool
    }
}

public struct NoteView: Codable, Sendable, Equatable {
    public var kind: String
    public var at: Double?
    public var duration: Double?
    public var text: String
}

public struct RecordingDetailView: Codable, Sendable, Equatable {
    public var recording: RecordingView
    public var channels: [ChannelSummary]
    public var readings: [ReadingView]
    public var notes: [NoteView]
    public var clock: ClockView
    public var history: [BindingView]
    /// Nil for readings, which have no signals.
    public var quality: QualityView?

    public struct BindingView: Codable, Sendable, Equatable {
        public var visit: String
        public var reason: String
        public var by: String
        public var at: String
        public var why: String?
    }

    public struct ClockView: Codable, Sendable, Equatable {
        public var deviceStart: String?
        public var deviceRaw: String?
        public var hostWall: String
        public var hostMonotonic: UInt64
        public var bootID: String
        public var hostSynchronised: Bool?
        public var source: String
        /// What the device's clock showed when the laptop's was read; nil when it can't be asked.
        public var deviceNow: String?
        /// When it began, as well as it can be known, beside what the clocks said.
        public var corrected: CorrectedView?
    }

    public struct CorrectedView: Codable, Sendable, Equatable {
        /// RFC 3339.
        public var start: String
        /// What a right clock on the wall would have shown.
        public var local: String
        /// Seconds that were added to the device's reading; nil when it could not be compared.
        public var correction: Int?
        /// `uncompared`, `hostNotSynchronised`, `repeatedHour`, … (`CorrectedStart.Remark`).
        public var remarks: [String]

        init(_ start: CorrectedStart) {
            self.start = rfc3339(unixMilliseconds: Int64(start.instant) * 1000)
            local = start.local.description
            correction = start.correction
            remarks = start.remarks.map(\.rawValue).sorted()
        }
    }
}

public struct ImportView: Codable, Sendable, Equatable {
    public var imported: [String]
    /// Already here, with the recording's id.
    public var known: [String]
    public var failed: [Failure]
    /// Of both, those that wait for a person to say whose they are although a visit is open.
    public var toDecide: Int
    /// Programs, indexes and traces of operating systems: not copied.
    public var ignored: Int
    /// `MediumView.Found.isAll`
    public var isAll: Bool
    /// `MediumView.hint`
    public var hint: String?
    /// Why it ended before its end, if it did: the medium was pulled out, or the laptop had no room.
    public var problem: Problem?

    public struct Failure: Codable, Sendable, Equatable {
        /// Place in the tree, by number only: a file's name may hold an identity.
        public var item: Int
        public var text: String
    }
}

public struct OpenVisitRequest: Codable, Sendable {
    public var by: String?
    /// The page's door demands it.
    public var check: IdentityCheck?

    public init(by: String?) { self.by = by }
}
/// Asked through the socket only: a way into the page for the person who asks.
public struct PageTokenRequest: Codable, Sendable {
    public var by: String?

    public init(by: String?) { self.by = by }
}
public struct PageTokenView: Codable, Sendable, Equatable {
    /// With a token that works once.
    public var url: String
    /// Seconds.
    public var validFor: Int

    public init(url: String, validFor: Int) {
        self.url = url
        self.validFor = validFor
    }
}
public struct StartRequest: Codable, Sendable {
    public var by: String?

    public init(by: String?) { self.by = by }
}
public struct ImportRequest: Codable, Sendable {
    public var path: String
    public var by: String?

    public init(path: String, by: String?) {
        self.path = path
        self.by = by
    }
}
public struct AttributeRequest: Codable, Sendable {
    public var visit: String
    public var by: String?
    public var why: String?
    /// The same for these: of those that `IdentityView.ofMachine` names.
    public var others: [String]?

    public init(visit: String, by: String?, why: String?, others: [String]? = nil) {
        self.visit = visit
        self.by = by
        self.why = why
        self.others = others
    }
}
public struct StartTimeRequest: Codable, Sendable {
    public var start: String
    public var by: String?

    public init(start: String, by: String?) {
        self.start = start
        self.by = by
    }
}
