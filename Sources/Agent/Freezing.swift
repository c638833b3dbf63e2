import Clinical
import Formats
import FoundationEssentials
public import Logging
public import Store

/// At seal: decoded samples and the patient's identity become the immutable bytes to send. Restartable: a crash before the
/// one transaction at the end costs nothing, and the same recording always gives the same bytes.
public struct Freezing: Sendable {
    private let store: Store
    private let bell: Bell
    private let frozen: @Sendable () -> Void
    private let logger: Logger

    public init(store: Store, bell: Bell, logger: Logger, frozen: @escaping @Sendable () -> Void) {
        self.store = store
        self.bell = bell
        self.frozen = frozen
        self.logger = logger
    }

    /// Freezes what is ready, then waits for the bell; until cancelled.
    public func run() async {
        while !Task.isCancelled {
            await freezeAll()
            await bell.wait(atMost: .seconds(60))
        }
    }

    func freezeAll() async {
        do {
            for id in try await store.awaitingFreeze() {
                guard !Task.isCancelled else { return }
                do {
                    try await freeze(id)
                    frozen()
                } catch {
                    // One recording that can't be rendered never blocks the others; it stays, and is looked at again.
                    logger.error("could not freeze", metadata: ["recording": "\(id)", "error": "\(error)"])
                }
            }
        } catch {
            logger.error("store can't say what waits for freezing", metadata: ["error": "\(error)"])
        }
    }

    /// What the disk lost is a gap with a note; the rest is worth sending all the same.
    private static func content(
        _ id: RecordingID, _ store: Store, _ logger: Logger
    ) async throws(StoreError) -> (waveform: Waveform, original: [UInt8], damage: [Note]) {
        do {
            return (try await store.waveform(id), try await store.original(id), [])
        } catch .corrupt(let what) {
            let salvaged = try await store.salvaged(id)
            logger.error(
                "a recording is damaged; what is left of it is sent",
                metadata: ["recording": "\(id)", "damage": "\(what)", "stretches": "\(salvaged.damage.count)"])
            return (salvaged.waveform, salvaged.original, salvaged.damage)
        }
    }

    /// What is sent of a recording, with what it was built from; nil while it is nobody's.
    struct Rendered {
        var visit: String
        var revision: Int
        var parts: [(Document, [UInt8])]
    }

    /// The same recording always gives the same bytes.
    static func render(_ id: RecordingID, _ store: Store, _ logger: Logger) async throws -> Rendered? {
        guard let detail = try await store.recording(id), let binding = detail.summary.binding,
            let visit = try await store.visit(binding.visit)
        else { return nil }
        let recording = detail.recording
        let (waveform, original, damage) = try await content(id, store, logger)
        var parts = [(Document.Role.original, Artefact.originalMediaType(original), original)]
        if original.isEmpty, detail.summary.hasReadings {
            // Values whose bytes are missing still go to the server, and say themselves what they are.
            let values = try Artefact.listing(try await store.readings(id))
            parts = [(.original, Artefact.listingMediaType, values)]
        }
        // Discrete values travel as Observations; there is no file to derive.
        if !recording.channels.isEmpty {
            let (artefact, refusals) = await Artefact.best(
                recording, waveform: waveform, notes: detail.notes + damage, patient: visit.patient)
            for refusal in refusals {
                logger.warning(
                    "a standard form was refused", metadata: ["recording": "\(id)", "reason": "\(refusal)"])
            }
            if let artefact { parts.insert((.artefact, artefact.mediaType, artefact.bytes), at: 0) }
        }
        return Rendered(
            visit: visit.id, revision: detail.summary.revision,
            parts: parts.map { role, mediaType, bytes in
                (DocumentHasher.document(of: id, role: role, mediaType: mediaType, bytes: bytes), bytes)
            })
    }

    /// Carried as it is: there is nothing to derive, and its bytes are where they will be sent from.
    private func freezeCarried(_ id: RecordingID) async throws -> Bool {
        guard let content = try await store.carriedContent(id) else { return false }
        guard let summary = try await store.recording(id)?.summary, let binding = summary.binding else { return true }
        try await store.freezeCarried(id, content, boundTo: binding.visit, revision: summary.revision)
        logger.info(
            "recording frozen",
            metadata: ["recording": "\(id)", "bytes": "\(content.size)", "sha256": "\(content.sha256)"])
        return true
    }

    private func freeze(_ id: RecordingID) async throws {
        if try await freezeCarried(id) { return }
        guard let rendered = try await Self.render(id, store, logger) else { return }
        // Refused when somebody attributed it anew in the meantime; it is then built again for the right patient.
        try await SleepInhibitor.hold {
            try await store.freeze(
                id, documents: rendered.parts, boundTo: rendered.visit, revision: rendered.revision)
        }
        logger.info(
            "recording frozen",
            metadata: [
                "recording": "\(id)", "bytes": "\(rendered.parts[0].0.size)", "sha256": "\(rendered.parts[0].0.sha256)",
            ])
    }
}
