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
    private func content(
        _ id: RecordingID
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

    private func freeze(_ id: RecordingID) async throws {
        guard let detail = try await store.recording(id), let binding = detail.summary.binding,
            let visit = try await store.visit(binding.visit)
        else { return }
        let recording = detail.recording
        let (waveform, original, damage) = try await content(id)
        var parts = [(Document.Role.original, Artefact.originalMediaType, original)]
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
        let documents = parts.map { role, mediaType, bytes in
            (DocumentHasher.document(of: id, role: role, mediaType: mediaType, bytes: bytes), bytes)
        }
        // Refused when somebody attributed it anew in the meantime; it is then built again for the right patient.
        try await SleepInhibitor.hold {
            try await store.freeze(id, documents: documents, boundTo: visit.id, revision: detail.summary.revision)
        }
        logger.info(
            "recording frozen",
            metadata: [
                "recording": "\(id)", "bytes": "\(documents[0].0.size)", "sha256": "\(documents[0].0.sha256)",
            ])
    }
}
