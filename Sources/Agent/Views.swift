import Clinical
import FoundationEssentials
import Store

extension VisitView {
    init(_ visit: Visit, recordings: Int) {
        self.init(
            id: visit.id, status: visit.status.rawValue, plannedAt: visit.plannedAt, place: visit.place,
            reason: visit.reason, pathway: visit.pathway,
            patient: PatientView(visit.patient),
            recordings: recordings)
    }
}

extension VisitView.PatientView {
    init(_ patient: Patient) {
        self.init(
            id: patient.id, family: patient.family, given: patient.given, birthDate: patient.birthDate,
            sex: patient.sex.rawValue, birthPlace: patient.birthPlace, ins: patient.ins?.value,
            identityStatus: patient.identityStatus?.value)
    }
}

extension RecordingView {
    /// - Parameter openVisit: the visit that is open now: an interrupted download waits for it to close.
    init(_ summary: RecordingSummary, openVisit: String?) {
        let clock = summary.clock
        let start: String? =
            switch clock.source {
            case .host: rfc3339(unixMilliseconds: clock.hostWall)
            case .device, .file, .person: clock.deviceStart?.description
            case .unknown: nil
            }
        self.init(
            id: "\(summary.id)", kind: summary.kind.rawValue, modality: summary.modality.rawValue,
            origin: summary.origin.rawValue, state: summary.state.rawValue, endReason: summary.endReason?.rawValue,
            device: "\(summary.device.vendor) \(summary.device.model)", serial: summary.device.serial,
            support: summary.device.support.rawValue, visit: summary.binding?.visit,
            binding: summary.binding?.reason.rawValue, unattributed: summary.unattributed?.rawValue,
            attention: Self.attention(summary, openVisit: openVisit),
            start: start, startSource: clock.source.rawValue, seconds: summary.seconds, originalBytes: summary.bytes,
            supersededBy: summary.supersededBy?.description, documents: summary.documents.map(DocumentView.init))
    }

    /// Why it isn't on its way, in the nurse's words; nil when nothing is expected of her.
    private static func attention(_ summary: RecordingSummary, openVisit: String?) -> String? {
        if summary.supersededBy != nil { return AttentionSentence.superseded }
        if summary.isEmpty { return AttentionSentence.empty }
        if summary.isHeld { return AttentionSentence.held }
        guard let binding = summary.binding else { return AttentionSentence.unattributed(summary.unattributed) }
        if summary.needsStart { return AttentionSentence.needsStart }
        if summary.state == .interrupted, summary.kind == .stored, summary.documents.isEmpty, binding.visit == openVisit
        {
            return AttentionSentence.interruptedDownload
        }
        if summary.documents.contains(where: { $0.stage == .quarantined }) { return AttentionSentence.quarantined }
        return nil
    }
}

extension DocumentView {
    init(_ status: DocumentStatus) {
        let document = status.document
        var confirmed = 0
        if case .created(_, let bytes) = status.upload { confirmed = bytes }
        self.init(
            id: "\(document.id)".lowercased(), role: document.role.rawValue, mediaType: document.mediaType,
            size: document.size, sha256: document.sha256, state: status.stage.rawValue,
            confirmedBytes: status.receipt == nil ? confirmed : document.size,
            receipt: status.receipt.map {
                ReceiptView(
                    sha256: $0.sha256, size: $0.size, storedAt: $0.storedAt, durability: $0.durability,
                    storeEpoch: $0.storeEpoch,
                    matches: $0.covers(rid: document.id, sha256: document.sha256, size: document.size))
            }, lastError: status.quarantine ?? status.lastError)
    }
}
