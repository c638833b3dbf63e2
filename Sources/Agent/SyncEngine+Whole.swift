import Clinical
import Crypto
import Formats
import FoundationEssentials
import Logging
import Store
import Uplink

// Servers that take a document in one request and know no receipts: a PACS, a FHIR server. What they give back is the proof.

extension SyncEngine {
    func sendWhole(_ item: OutboxItem, _ link: ServerLink) async throws(UplinkError) {
        do {
            // After a crash or a lost answer it may be there already: asked before it is sent again.
            if item.upload != .none || item.attempts > 0, try await settle(item, link, isUploaded: false) == .settled {
                return
            }
            let lane = try wholeLane(link)
            let content = try await content(item.document, item.visit)
            try await store.beginUpload(item.document.id)
            underway.begin(item.document.id, of: item.document.size)
            try await lane.store(content) { [weak self] sent in
                Task { await self?.sentWhole(item.document.id, sent) }
            }
            _ = try await settle(item, link, isUploaded: true)
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    private func sentWhole(_ document: UUID, _ sent: Int) {
        guard let total = underway[document]?.total,
            let new = underway.reached(min(sent, total), of: document)
        else { return }
        rate.note(new, at: now)
        spend(new)
    }

    /// The receipt, or what stands for it.
    func receipt(for document: Document, of visit: Visit, _ link: ServerLink) async throws -> ReceiptAnswer {
        // What it says or gives back now, it has in the epoch that it greeted us with.
        let epoch = offer.storeEpoch
        let answer =
            configuration.region.profile == .full
            ? try await link.receipt(for: document.id, offer: offer)
            : try await wholeLane(link).readBack(try await content(document, visit))
        guard case .stored(var receipt) = answer, receipt.storeEpoch.isEmpty, let epoch else { return answer }
        receipt.storeEpoch = epoch
        return .stored(receipt)
    }

    func wholeLane(_ link: ServerLink) throws(UplinkError) -> any WholeLane {
        let options = WholeOptions(makeHash: { RunningSHA256() }, sendRate: sendRate)
        switch configuration.region.profile {
        case .pacs:
            guard let stow = offer.bytes(.stow) else { throw .configuration("the server offers no DICOMweb") }
            return try StowLane(link, root: stow.url, maxSize: stow.maxSize, options: options)
        case .fhir: return BinaryLane(link, offer: offer, options: options)
        case .full, .drop: throw .local("a profile without whole documents")
        }
    }

    /// Where the facts say that a document is; nil where it is below the server's recordings.
    func address(of document: Document, visit: Visit) async throws -> String? {
        guard let link, [.pacs, .fhir].contains(configuration.region.profile) else { return nil }
        return try wholeLane(link).address(of: try await content(document, visit))
    }

    /// For a PACS everything is a DICOM object: what isn't one travels in one, unchanged.
    private func content(_ document: Document, _ visit: Visit) async throws -> WholeContent {
        let store = store
        let item = BytesLane.Item(
            rid: document.id, fileExtension: Self.fileExtension(document.mediaType), mediaType: document.mediaType,
            size: document.size, sha256: document.sha256, visit: visit.id)
        let patient = "Patient/\(visit.patient.id)"
        let plain: @Sendable (Int, Int) async throws -> [UInt8] = {
            try await store.documentBytes(document.id, offset: $0, count: $1)
        }
        guard configuration.region.profile == .pacs else {
            return WholeContent(item: item, size: document.size, patient: patient, read: plain)
        }
        if document.mediaType == "application/dicom",
            let own = DicomIdentity(head: try await plain(0, min(document.size, DicomIdentity.headSize)))
        {
            return WholeContent(
                item: item, size: document.size,
                dicom: DicomAddress(study: own.study, series: own.series, instance: own.instance), patient: patient,
                read: plain)
        }
        guard let recording = try await store.recording(document.recording)?.recording else {
            throw UplinkError.local("a document without its recording")
        }
        let header = try Self.header(document, recording, visit.patient)
        let object = try DicomRawData(header, mediaType: document.mediaType, payloadSize: document.size)
        return WholeContent(
            item: item, size: object.size, documentStart: object.head.count,
            dicom: DicomAddress(
                study: header.studyInstance, series: header.seriesInstance, instance: header.sopInstance),
            patient: patient
        ) { offset, count in
            let head = object.head
            var bytes = Array(head.dropFirst(min(offset, head.count)).prefix(count))
            if bytes.count < count {
                let at = offset + bytes.count - head.count
                let part = min(count - bytes.count, max(0, document.size - at))
                bytes += try await plain(at, part)
            }
            // The pad of an odd payload.
            return bytes + [UInt8](repeating: 0, count: count - bytes.count)
        }
    }

    /// In the study of the recording's artefact, in a series of its own.
    private static func header(
        _ document: Document, _ recording: Recording, _ patient: Patient
    ) throws -> DicomECGHeader {
        guard let fallback = localTime(ofUnixMilliseconds: recording.clock.hostWall).time else {
            throw UplinkError.local("the laptop's clock names no date")
        }
        func uid(_ role: String) -> String {
            DicomUID.make(DocumentHasher.uuid5(namespace: recording.id.uuid, name: role))
        }
        return DicomECGHeader(
            subject: .init(
                family: patient.family, given: patient.given, id: patient.id, issuer: nil,
                birthDate: patient.birthDate, sex: patient.sex, ins: patient.ins),
            studyInstance: uid("study"), seriesInstance: uid("series-\(document.role.rawValue)"),
            sopInstance: uid("instance-\(document.role.rawValue)"), start: recording.localStart, fallback: fallback,
            device: recording.device, software: "ess-agent \(agentVersion)",
            simulated: recording.origin == .simulated, interrupted: recording.state == .interrupted)
    }

    /// Bytes per second that leave room for the nurse; nil for no limit.
    var sendRate: Int? { configuration.region.uploadRate }
}

/// SHA-256 as it comes, for the lanes that read back.
struct RunningSHA256: RunningHash {
    private var hash = SHA256()

    mutating func update(_ bytes: ArraySlice<UInt8>) { hash.update(data: bytes) }

    func finish() -> String { hash.finalize().map { hex($0) }.joined() }

    private func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}
