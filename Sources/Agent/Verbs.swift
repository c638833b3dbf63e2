import Clinical
import Devices
import Formats
import FoundationEssentials
import Logging
import Store
import Wire

/// What the command line and the page can ask the agent to do: one set of verbs, whatever the door.
public struct Verbs: Sendable {
    let store: Store
    let clock: HostClock
    let hub: DeviceHub
    let sync: SyncEngine
    let mediaHub: MediaHub
    let freezing: Bell
    let catalogue: PathwayCatalogue
    let stateDirectory: String
    let configuration: Configuration

    /// Bytes to hand over, with what they are. They come piece by piece, as a loop has more of them than anybody should hold.
    public struct ExportedFile: Sendable {
        public var mediaType: String
        /// The first piece: what fails, fails before a word is said.
        private var first: [UInt8]
        /// The piece after so many bytes; an empty one is the end.
        private var next: @Sendable (_ offset: Int) async throws -> [UInt8]

        init(mediaType: String, bytes: [UInt8]) {
            self.mediaType = mediaType
            first = bytes
            next = { _ in [] }
        }

        /// - Parameter next: as above; asked for the pieces in their order.
        init(
            mediaType: ([UInt8]) -> String, next: @escaping @Sendable (_ offset: Int) async throws -> [UInt8]
        ) async throws {
            first = try await next(0)
            self.mediaType = mediaType(first)
            self.next = next
        }

        /// The piece behind so many bytes; none at the end. Each is asked for once, in their order.
        public func piece(at offset: Int) async throws -> [UInt8] { offset == 0 ? first : try await next(offset) }
    }

    /// Bytes of one piece, about.
    private static let exportPiece = 1 << 20

    // MARK: Looking

    public func status() async throws -> StatusView {
        try await guarded {
            let counts = try await store.statusCounts()
            let visit = try await store.currentVisit()
            let devices = await hub.views()
            let free = DiskPolicy.freeSpace(at: stateDirectory)
            return StatusView(
                version: agentVersion,
                sentence: sentence(counts, hasVisit: visit != nil, disk: store.diskVerdict()), openVisit: visit?.id,
                devices: devices.count,
                counts: StatusView.Counts(
                    recordings: counts.recordings, open: counts.open, unattributed: counts.unattributed,
                    needStartTime: counts.needingStart, waiting: counts.waiting + counts.sending + counts.toFreeze,
                    received: counts.received, quarantined: counts.quarantined),
                sync: await sync.view(), freeBytes: free)
        }
    }

    private func sentence(_ counts: StatusCounts, hasVisit: Bool, disk: DiskPolicy.Verdict) -> String {
        if disk != .ample { return StatusSentence.disk }
        if counts.open > 0 { return StatusSentence.recording }
        if store.knownDamage.isAny { return StatusSentence.damaged }
        if counts.quarantined > 0 { return StatusSentence.quarantined }
        if counts.unattributed > 0 { return StatusSentence.unattributed(counts.unattributed) }
        if counts.needingStart > 0 { return StatusSentence.needsStart(counts.needingStart) }
        return hasVisit ? StatusSentence.visitOpen : StatusSentence.idle
    }

    public func devices() async -> [DeviceView] { await hub.views() }

    public func visits() async throws -> [VisitView] {
        try await guarded {
            let bound = try await store.recordingCounts()
            return try await store.visits().map { VisitView($0, recordings: bound[$0.id] ?? 0) }
        }
    }

    public func recordings() async throws -> [RecordingView] {
        try await guarded {
            let open = try await store.currentVisit()?.id
            return try await store.recordings().map { RecordingView($0, openVisit: open) }
        }
    }

    public func recording(_ id: String) async throws -> RecordingDetailView {
        try await guarded {
            let detail = try await detail(id)
            let waveform = try await store.waveform(detail.recording.id)
            let raw = detail.rawClock
            return RecordingDetailView(
                recording: RecordingView(detail.summary, openVisit: try await store.currentVisit()?.id),
                channels: waveform.summaries,
                readings: try await store.readings(detail.recording.id).map(ReadingView.init),
                notes: detail.notes.map {
                    NoteView(kind: $0.kind.rawValue, at: $0.at, duration: $0.duration, text: $0.text)
                },
                clock: RecordingDetailView.ClockView(
                    deviceStart: raw.deviceStart?.description, deviceRaw: raw.deviceRaw,
                    hostWall: rfc3339(unixMilliseconds: raw.hostWall), hostMonotonic: raw.hostMonotonic,
                    bootID: raw.bootID,
                    hostSynchronised: raw.hostSynchronised, source: detail.recording.clock.source.rawValue,
                    deviceNow: raw.deviceNow?.description,
                    corrected: detail.recording.clock.correctedStart(lasting: detail.summary.seconds, zone: .host)
                        .map(RecordingDetailView.CorrectedView.init)),
                history: detail.bindings.map {
                    RecordingDetailView.BindingView(
                        visit: $0.visit, reason: $0.reason.rawValue, by: $0.by, at: rfc3339(unixMilliseconds: $0.at),
                        why: $0.why)
                }, quality: waveform.channels.isEmpty ? nil : await QualityView(waveform, notes: detail.notes))
        }
    }

    public func syncView() async -> SyncView { await sync.view() }

    // MARK: A visit

    /// - Parameter check: what was checked of the patient's identity; nil from the command line, which is for support.
    public func openVisit(_ id: String, by person: String?, check: IdentityCheck? = nil) async throws -> VisitView {
        try await guarded {
            guard let visit = try await store.visit(id) else { throw Problem.visitNotFound(id) }
            guard visit.status != .cancelled else { throw Problem.visitCancelled }
            if let problem = check?.problem(for: visit.patient) { throw problem }
            if let open = try await store.currentVisit(), open.id != id {
                throw await hub.isAnyCapturing ? Problem.captureRunning : .anotherVisitOpen
            }
            guard await !hub.isAnyCapturing(beside: id) else { throw Problem.captureRunning }
            let opened = try await store.openVisit(id, by: who(person), at: clock.wall)
            if check != nil {
                try await store.audit(by: who(person), action: "visit.identity-check", subject: id, details: "")
            }
            return VisitView(opened, recordings: 0)
        }
    }

    public func closeVisit(by person: String?) async throws -> VisitView {
        try await guarded {
            guard let visit = try await store.currentVisit() else { throw Problem.noOpenVisit }
            // A recording that is running belongs to this visit: it is ended first, deliberately.
            guard await !hub.isAnyCapturing else { throw Problem.captureRunning }
            try await store.closeVisit(visit.id, by: who(person), at: clock.wall)
            changed()
            return VisitView(try await store.visit(visit.id) ?? visit, recordings: 0)
        }
    }

    // MARK: Capturing

    public func start(_ device: String, by person: String?) async throws -> SessionView {
        try await hub.start(device, .live, by: who(person))
    }

    public func download(_ device: String, by person: String?) async throws -> SessionView {
        try await hub.start(device, .download, by: who(person))
    }

    public func stop(_ device: String) async throws -> SessionView { try await hub.stop(device) }

    // MARK: Deciding

    public func attribute(_ id: String, _ request: AttributeRequest) async throws -> RecordingView {
        try await guarded {
            let detail = try await detail(id)
            guard try await store.visit(request.visit) != nil else { throw Problem.visitNotFound(request.visit) }
            let isTried = detail.summary.documents.contains {
                $0.upload != .none || $0.facts != .none || $0.receipt != nil
            }
            guard !isTried else { throw Problem.alreadySent }
            let others = try (request.others ?? []).map { text in
                guard let id = RecordingID(text) else { throw Problem.recordingNotFound(text) }
                return id
            }
            try await store.attribute(
                detail.recording.id, to: request.visit, by: who(request.by), why: request.why, andOthers: others,
                at: clock.wall)
            changed()
            return try await view(detail.recording.id)
        }
    }

    public func setStart(_ id: String, _ request: StartTimeRequest) async throws -> RecordingView {
        try await guarded {
            guard let start = LocalTime(request.start) else {
                throw Problem.badRequest("L'heure s'écrit « 2026-11-22 23:05:00 ».")
            }
            let detail = try await detail(id)
            try await store.setStart(detail.recording.id, start, by: who(request.by))
            changed()
            return try await view(detail.recording.id)
        }
    }

    public func requeue(_ id: String) async throws -> SyncView {
        try await guarded {
            guard let document = UUID(uuidString: id) else { throw Problem.recordingNotFound(id) }
            try await store.requeue(document, by: who(nil))
            await sync.forgive(document)
            return await syncNow()
        }
    }

    public func syncNow() async -> SyncView {
        await sync.nudge()
        return await sync.view()
    }

    // MARK: Export

    public func export(_ id: String, format: String) async throws -> ExportedFile {
        try await guarded {
            let detail = try await detail(id)
            let recording = detail.recording
            try await store.audit(
                by: who(nil), action: "recording.export", subject: recording.id.description, details: format)
            switch format {
            case "original":
                let reading = OriginalReading(store, recording.id)
                return try await ExportedFile(mediaType: Artefact.originalMediaType) { _ in
                    try await reading.next(Self.exportPiece)
                }
            case "json":
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                let export = ExportedRecording(
                    detail: try await self.recording(id), waveform: try await store.waveform(recording.id))
                return ExportedFile(mediaType: "application/json", bytes: Array(try encoder.encode(export)))
            default:
                guard let format = Artefact.Format(rawValue: format), format != .dicom || recording.modality == .ecg
                else {
                    throw Problem.notExportable(format)
                }
                // What was frozen is what was, or will be, sent: the very same bytes.
                if format != .discontinuous,
                    let frozen = detail.summary.documents.first(where: { $0.document.role == .artefact })?.document,
                    frozen.mediaType == format.mediaType
                {
                    return try await ExportedFile(mediaType: { _ in frozen.mediaType }) { [store] offset in
                        try await store.documentBytes(frozen.id, offset: offset, count: Self.exportPiece)
                    }
                }
                var patient: Patient?
                if let visit = detail.summary.binding?.visit { patient = try await store.visit(visit)?.patient }
                do {
                    let artefact = try await Artefact.render(
                        format, recording, waveform: try await store.waveform(recording.id), notes: detail.notes,
                        patient: patient)
                    return ExportedFile(mediaType: artefact.mediaType, bytes: artefact.bytes)
                } catch let error as EncodeError {
                    throw Problem.notExportable("\(format.rawValue) (\(error))")
                }
            }
        }
    }

    // MARK: -

    /// What may have changed what can be frozen or sent.
    private func changed() { freezing.ring() }

    func who(_ person: String?) -> String { person.flatMap { $0.isEmpty ? nil : $0 } ?? "local" }

    func detail(_ id: String) async throws -> RecordingDetail {
        guard let parsed = RecordingID(id), let detail = try await store.recording(parsed) else {
            throw Problem.recordingNotFound(id)
        }
        return detail
    }

    private func view(_ id: RecordingID) async throws -> RecordingView {
        guard let summary = try await store.recording(id)?.summary else { throw Problem.recordingNotFound("\(id)") }
        return RecordingView(summary, openVisit: try await store.currentVisit()?.id)
    }

    /// Every failure leaves as a `Problem`.
    func guarded<Value>(_ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch { throw Problem(error) }
    }
}

/// A recording's original, from its beginning, piece by piece.
private actor OriginalReading {
    private let store: Store
    private let recording: RecordingID
    private var chunk = 0

    init(_ store: Store, _ recording: RecordingID) {
        self.store = store
        self.recording = recording
    }

    /// - Parameter size: bytes, about; more where one chunk has more.
    func next(_ size: Int) async throws(StoreError) -> [UInt8] {
        let piece = try await store.original(recording, from: chunk, about: size)
        chunk = piece.next
        return piece.bytes
    }
}

/// `export --format json`: everything known, and every sample; absent ones are null.
private struct ExportedRecording: Encodable {
    var detail: RecordingDetailView
    var waveform: Waveform

    private enum Keys: String, CodingKey { case recording, clock, notes, history, channels }
    private enum ChannelKeys: String, CodingKey { case name, unit, rate, scale, samples }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(detail.recording, forKey: .recording)
        try container.encode(detail.clock, forKey: .clock)
        try container.encode(detail.notes, forKey: .notes)
        try container.encode(detail.history, forKey: .history)
        var list = container.nestedUnkeyedContainer(forKey: .channels)
        for (channel, samples) in zip(waveform.channels, waveform.samples) {
            var item = list.nestedContainer(keyedBy: ChannelKeys.self)
            try item.encode(channel.name, forKey: .name)
            try item.encode(channel.unit, forKey: .unit)
            try item.encode(channel.rate.value, forKey: .rate)
            try item.encode(samples.map(channel.physical), forKey: .samples)
        }
    }
}
