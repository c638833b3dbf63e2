import Clinical
import Devices
import FoundationEssentials
import Logging
import Store

/// Writes one session into the store: mints identities, commits blocks, seals. Everything it reports as progress is durable.
actor SessionRecorder: SessionSink {
    struct Progress: Sendable {
        var id: RecordingID
        var samples = 0
        var expected: Int?
        var bytes = 0
        var state = Recording.State.open
    }

    private let store: Store
    private let clock: HostClock
    private let binding: Binding?
    /// Whose the recordings are, where one was open at the start.
    nonisolated var visit: String? { binding?.visit }
    /// What earlier sessions brought: whatever a driver does, it is not kept a second time, as somebody else's.
    private let known: KnownItems
    private let feed: LiveFeed
    private let logger: Logger
    private var device: DeviceIdentity
    private var current: Int?
    /// Of the recording that is open, when it comes out of a memory.
    private var source: String?
    private(set) var progress: [Progress] = []
    private(set) var skipped = 0
    /// Of the recording that began last; before the first one, of the session.
    private var surprises: Set<String> = []
    /// What is open, while the measurements in it are sorted.
    private var parts: RecordingParts?
    /// The people of whom something came, as the device keeps them apart, and what is theirs only if there is one.
    private var persons: Set<Int> = []
    private var ofOnePerson: [RecordingID] = []
    /// What the device's clock showed, and the laptop's monotonic clock at that moment.
    private var deviceClock: (time: LocalTime, at: UInt64)?
    /// The laptop's clocks when the last samples of the recording came.
    private var reading: HostReading?

    /// - Parameters:
    ///   - device: as the probe identified it.
    ///   - binding: whose the recordings are: the visit that was open at the explicit start, or nil.
    ///   - known: measurements out of the device's memory that are here already.
    ///   - feed: where screens look; never waits.
    init(
        store: Store, clock: HostClock, device: DeviceIdentity, binding: Binding?, known: KnownItems = [],
        feed: LiveFeed, logger: Logger
    ) {
        self.store = store
        self.clock = clock
        self.device = device
        self.binding = binding
        self.known = known
        self.feed = feed
        self.logger = logger
    }

    func perform(_ action: DialogueAction) async throws(Problem) {
        do {
            switch action {
            case .identify(let identity): device = identity
            case .append, .reading, .note:
                if parts != nil { parts?.take(action) } else { try await keep(action) }
            case .begin(let start):
                parts = try await sorted(start)
                if parts == nil { try await begin(start) }
            case .end(let reason): try await end(reason)
            case .deviceClock(let time): deviceClock = (time, clock.monotonic)
            case .skipped: skipped += 1
            case .surprise(let text): try await surprise(text)
            case .send, .control, .renew, .ask, .finish: break
            }
        } catch let error as StoreError {
            throw Problem(error)
        } catch {
            throw .storage("\(type(of: error))")
        }
    }

    /// Called when the session is over, whatever the driver managed to say: nothing stays open.
    func close(_ reason: Recording.EndReason) async {
        do {
            try await end(reason)
        } catch {
            logger.error("recording could not be sealed", metadata: ["error": "\(error)"])
            sealLater(reason)
        }
        feed.close()
        await settle()
    }

    /// What was measured of the only person that this session heard of is the open visit's.
    private func settle() async {
        guard persons.count == 1, let binding else { return }
        for id in ofOnePerson {
            do {
                try await store.settle(id, binding)
            } catch {
                logger.warning(
                    "a person has to say whose it is", metadata: ["recording": "\(id)", "error": "\(error)"])
            }
        }
        ofOnePerson = []
    }

    /// Nil where all of it is one recording.
    private func sorted(_ start: RecordingStart) async throws -> RecordingParts? {
        guard start.kind == .stored, let item = start.item, item.times.count > 1 else { return nil }
        let parts = try await store.parts(of: item.times, in: recording(start), for: binding)
        return parts.count > 1 ? RecordingParts(start, parts) : nil
    }

    /// Of what is open, or was kept back to be sorted.
    private func end(_ reason: Recording.EndReason) async throws {
        guard let parts else { return try await seal(reason) }
        self.parts = nil
        for part in parts.all {
            try await begin(part.start)
            for action in part.actions { try await keep(action) }
            try await seal(reason)
        }
    }

    /// The disk was full or gone: every block that was acknowledged is there, and is sealed as soon as there is room again;
    /// by the next start at the latest. A day is enough for anybody to make room. The task holds this recorder: its session
    /// may long have been replaced by the port's next one.
    private func sealLater(_ reason: Recording.EndReason) {
        Task {
            for _ in 0..<43_200 {
                do {
                    try await Task.sleep(for: .seconds(2))
                    return try await seal(reason)
                } catch StoreError.refused, StoreError.notFound {
                    // Somebody else sealed it, or it is gone.
                    return
                } catch is CancellationError {
                    return
                } catch {
                    continue
                }
            }
        }
    }

    private func keep(_ action: DialogueAction) async throws {
        switch action {
        case .append(let block): try await append(block)
        case .reading(let reading): try await add(reading)
        case .note(let note):
            if let current { try await store.add(note, to: progress[current].id) }
        default: break
        }
    }

    private func begin(_ start: RecordingStart) async throws {
        let recording = recording(start)
        let id = recording.id
        if let person = start.person { persons.insert(person) }
        let waits = start.person != nil && start.kind == .live && start.channels.isEmpty && start.item == nil
        _ = try await store.begin(
            recording, binding: binding, company: start.item?.isShared ?? waits ? .withOthers : .alone,
            period: StoredPeriod(last: start.item?.last, times: start.item?.times ?? []))
        let early = progress.isEmpty ? surprises : []
        if waits { ofOnePerson.append(id) }
        progress.append(Progress(id: id, expected: start.item?.samples))
        current = progress.count - 1
        self.source = start.item?.source
        reading = clock.reading
        surprises = []
        // What it said before is kept with the first recording.
        for text in early.sorted() { try await keep(surprise: text) }
        feed.begin(recording)
        logger.info(
            "recording begins", metadata: ["recording": "\(id)", "kind": "\(start.kind)", "driver": "\(device.driver)"])
    }

    private func recording(_ start: RecordingStart) -> Recording {
        var random = SystemRandomNumberGenerator()
        let id = RecordingID(milliseconds: UInt64(clock.wall), random: &random)
        // A device that only counts is dated by the laptop's clock, with which its count was paired.
        let now = localTime(ofUnixMilliseconds: clock.wall).time
        let counted = start.item?.ago.flatMap { ago in now?.civilSeconds.subtractingReportingOverflow(ago) }
            .flatMap { $0.overflow ? nil : LocalTime(civilSeconds: $0.partialValue) }
        let began = start.item?.start ?? counted
        let source: StartSource =
            switch start.kind {
            case .live: .host
            case .stored: began == nil ? .unknown : .device
            case .file: .file
            }
        return Recording(
            id: id, kind: start.kind, modality: start.modality, origin: device.isSimulated ? .simulated : .device,
            device: device, channels: start.channels,
            clock: clock.facts(
                deviceStart: began, deviceRaw: start.item?.rawStart, source: source,
                deviceNow: start.item?.start == nil && counted != nil ? now : deviceNow),
            source: start.item?.source)
    }

    private func add(_ reading: Reading) async throws {
        guard let current else { return }
        if let source, known.contains(reading, outside: source) { return skipped += 1 }
        try await store.add([reading], to: progress[current].id)
        progress[current].samples += 1
    }

    private func append(_ block: Block) async throws {
        guard let current else { return }
        try await noteHostEvents(progress[current].id)
        try await store.append(progress[current].id, blocks: [block])
        // Only now: what is shown as stored is stored.
        progress[current].samples += block.samples.map(\.count).max() ?? 0
        progress[current].bytes += block.raw.count
        feed.append(block)
    }

    /// What the device's clock shows now: it ran on since it was read.
    private var deviceNow: LocalTime? {
        guard let (time, at) = deviceClock else { return nil }
        let elapsed = Int((clock.monotonic - at) / 1_000_000_000)
        return LocalTime(civilSeconds: time.civilSeconds + elapsed)
    }

    /// A laptop that slept missed what the device sent meanwhile; a wall clock that was set concerns nothing but what is
    /// compared with it later. Order and lengths come from the monotonic clock.
    private func noteHostEvents(_ id: RecordingID) async throws {
        let now = clock.reading
        defer { reading = now }
        for event in reading.map({ now.events(since: $0) }) ?? [] {
            let note: Note
            switch event {
            case .suspended(let length), .suspendedOrWallSet(let length):
                note = Note(kind: .gap, text: "the laptop was suspended for \(length / 1000) s")
            case .wallSet(let change):
                note = Note(kind: .surprise, text: "the laptop's clock was set by \(change / 1000) s meanwhile")
            case .rebooted: continue
            }
            try await store.add(note, to: id)
        }
    }

    private func seal(_ reason: Recording.EndReason) async throws {
        guard let index = current else { return }
        try await store.seal(progress[index].id, reason: reason)
        progress[index].state = reason.state
        current = nil
        feed.end(reason.state)
        logger.info(
            "recording sealed",
            metadata: [
                "recording": "\(progress[index].id)", "reason": "\(reason)", "samples": "\(progress[index].samples)",
            ])
    }

    /// Kept once for each recording, told once for each device: one that surprises us a thousand times must not fill the disk.
    private func surprise(_ text: String) async throws {
        guard try await keep(surprise: text), try await store.surprise(text, from: device, at: clock.wall) else {
            return
        }
        logger.notice("device said something new", metadata: ["driver": "\(device.driver)", "surprise": "\(text)"])
    }

    @discardableResult
    private func keep(surprise text: String) async throws -> Bool {
        guard surprises.count < 50, surprises.insert(text).inserted else { return false }
        if let current { try await store.add(Note(kind: .surprise, text: text), to: progress[current].id) }
        return true
    }
}
