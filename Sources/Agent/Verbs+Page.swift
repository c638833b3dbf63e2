import Clinical
import Store

extension Verbs {
    /// What the nurse sees side by side before she decides whose a recording is.
    public func identity(_ id: String) async throws -> IdentityView {
        try await guarded {
            let detail = try await detail(id)
            let claim = detail.recording.claim
            let ofMachine = try await store.waitingOfMachine(like: detail.recording.id)
                .map { RecordingView($0, openVisit: nil) }
            return IdentityView(
                recording: detail.recording.id.description,
                claim: claim.map {
                    IdentityView.ClaimView(
                        name: $0.name, sex: $0.sex?.rawValue, birthDate: $0.birthDate, age: $0.age,
                        patientID: $0.patientID)
                },
                heldAgainst: detail.summary.isHeld ? detail.hold?.visit : nil,
                contradictions: (detail.hold?.contradictions ?? []).map {
                    IdentityView.ContradictionView(kind: $0.kind.rawValue, claimed: $0.claimed, expected: $0.expected)
                },
                ofMachine: ofMachine.map { IdentityView.MachineView(id: $0.id, start: $0.start) })
        }
    }

    /// Samples of a finished or running recording, to be drawn.
    /// - Parameters: see `TraceView`; `columns` is 1 to 4000.
    public func trace(_ id: String, from: Double, seconds: Double?, columns: Int?) async throws -> TraceView {
        try await guarded {
            guard from.isFinite, seconds?.isFinite ?? true, columns.map({ (1...4000).contains($0) }) ?? true else {
                throw Problem.badRequest("La portion demandée du tracé n'est pas valable.")
            }
            let detail = try await detail(id)
            let waveform = try await store.waveform(detail.recording.id)
            return TraceView(detail.recording, waveform, from: from, seconds: seconds, columns: columns)
        }
    }

    /// Follows a running session of a device from now on.
    public func live(_ device: String) async throws -> AsyncStream<LiveEvent> { try await hub.live(device) }
}
