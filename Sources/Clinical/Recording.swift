/// One capture: what was recorded, from what, when, and how it ended.
public struct Recording: Sendable, Equatable, Codable, Identifiable {
    /// Where the samples come from.
    public enum Origin: String, Sendable, Codable { case device, simulated, imported }

    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// Streamed while somebody watched.
        case live
        /// Downloaded from a device's memory.
        case stored
        /// A file from a card, a stick or a folder.
        case file
    }

    /// What was measured; decides the artefact and the codes.
    public enum Modality: String, Sendable, Codable, CaseIterable {
        case ecg, oximetry, bloodPressure
        /// Breathing, under therapy or not: flow, pressure, and what was scored in it.
        case sleep
        /// Discrete values of any kind: temperature, weight, oxygen saturation, glucose.
        case vitals
        /// Images, loops and reports of another device's, carried as they are: echography.
        case imaging
        /// Files that nobody here understands, carried as they are.
        case other
    }

    public enum State: String, Sendable, Codable, CaseIterable {
        /// Being written.
        case open
        /// Everything that the device or file had.
        case complete
        /// Cut before its end; everything up to the cut is here.
        case interrupted
    }

    /// Why a recording ended.
    public enum EndReason: String, Sendable, Codable {
        /// The device or the file had no more.
        case finished
        /// A person ended the live capture.
        case stopped
        case deviceGone
        /// The device ended it by itself (switched off, changed user, stopped sending).
        case deviceEnded
        /// The agent was stopped or killed; found at the next start.
        case agentStopped
        /// Could not be written any more.
        case storageFailed

        public var state: State {
            switch self {
            case .finished, .stopped: .complete
            case .deviceGone, .deviceEnded, .agentStopped, .storageFailed: .interrupted
            }
        }
    }

    public var id: RecordingID
    public var kind: Kind
    public var modality: Modality
    public var origin: Origin
    public var device: DeviceIdentity
    public var channels: [Channel]
    public var clock: ClockFacts
    /// Says what was read, so that the same night or file is recognised when it comes again; see `StoredItem.source` in Devices.
    public var source: String?
    /// The identity that the file gives itself (a DICOM SOP Instance UID). Two files with one identity and other bytes are
    /// both kept, and the later one is flagged.
    public var objectID: String?
    /// What a file claims about whose it is.
    public var claim: IdentityClaim?
    public var state: State
    public var endReason: EndReason?

    public init(
        id: RecordingID, kind: Kind, modality: Modality, origin: Origin, device: DeviceIdentity, channels: [Channel],
        clock: ClockFacts, source: String? = nil, objectID: String? = nil, claim: IdentityClaim? = nil,
        state: State = .open, endReason: EndReason? = nil
    ) {
        self.id = id
        self.kind = kind
        self.modality = modality
        self.origin = origin
        self.device = device
        self.channels = channels
        self.clock = clock
        self.source = source
        self.objectID = objectID
        self.claim = claim
        self.state = state
        self.endReason = endReason
    }
}

/// Something worth keeping beside the samples: a gap, a surprise, a state of the sensor.
public struct Note: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case gap, surprise, sensor, device
        /// Scored by the device's algorithm, in its own words: an apnoea, an arousal. Never a validated finding.
        case event
    }
    public var kind: Kind
    /// Seconds from the recording's first sample, or nil when it isn't about a moment.
    public var at: Double?
    /// Seconds, when it lasted.
    public var duration: Double?
    /// English, technical, never an identity.
    public var text: String

    public init(kind: Kind, at: Double? = nil, duration: Double? = nil, text: String) {
        self.kind = kind
        self.at = at
        self.duration = duration
        self.text = text
    }
}
