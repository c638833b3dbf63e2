import Clinical
import Devices
import Store

/// What `devices erase` found in a device's memory, and what it did.
public struct ErasureView: Codable, Sendable, Equatable {
    public var device: String
    public var serial: String
    /// In the device's memory, all of them received by the server.
    public var recordings: Int
    public var isErased: Bool
}

/// The serial number as the person read it; nil only looks.
public struct EraseRequest: Codable, Sendable {
    public var confirm: String?
    public var by: String?

    public init(confirm: String?, by: String?) {
        self.confirm = confirm
        self.by = by
    }
}

extension DeviceHub {
    /// Looks through the device's memory, and erases it when the server has given its receipt for everything in it and the person
    /// named the device. Both times the device itself is asked what it holds: something recorded a minute ago stays.
    /// - Throws: `device-holds-more`, `confirm-erasure`, `erasure-unclear`; before each of them nothing was erased but in the last,
    ///   where the device didn't confirm.
    func erase(_ name: String, confirm: String?, policy: PurgePolicy, by person: String) async throws(Problem)
        -> ErasureView
    {
        let identity = try identity(of: name)
        guard let serial = identity.serial, !serial.isEmpty else { throw .deviceWithoutSerial }
        if let confirm, confirm != serial { throw .confirmErasure(serial) }
        let received: Set<String>
        do {
            received = try await store.receivedSources(policy: policy)
        } catch {
            throw Problem(error)
        }
        let (outcome, held) = try await look(name, .erase(received: received, isConfirmed: false))
        if let problem = outcome.problem { throw problem }
        var view = ErasureView(
            device: "\(identity.vendor) \(identity.model)", serial: serial, recordings: held, isErased: false)
        guard confirm != nil, held > 0 else { return view }

        let subject = "\(identity.driver):\(serial)"
        do {
            try await store.audit(
                by: person, action: AuditAction.eraseDevice, subject: subject,
                details: "\(held) recordings, all of them received")
            let (outcome, _) = try await look(name, .erase(received: received, isConfirmed: true))
            try await store.audit(
                by: person, action: AuditAction.endErasure, subject: subject, details: Self.text(outcome))
            switch outcome {
            case .finished(.done): view.isErased = true
            case .finished(.holdsMore(let count)): throw Problem.deviceHoldsMore(count)
            default: throw Problem.erasureUnclear
            }
            return view
        } catch {
            throw Problem(error)
        }
    }

    private func look(_ name: String, _ goal: SessionGoal) async throws(Problem) -> (Acquisition.Outcome, Int) {
        let session = try await launch(name, .erase, goal, nil)
        let outcome = await session.task.value
        return (outcome, await session.recorder.skipped)
    }

    private static func text(_ outcome: Acquisition.Outcome) -> String {
        switch outcome {
        case .finished(.done): "erased"
        case .finished(.holdsMore): "not erased: it holds more"
        case .finished(.deviceEnded(let why)): "not confirmed: \(why)"
        default: "not confirmed"
        }
    }
}

extension DialogueProfile {
    /// The guard lets an erase command pass in a confirmed erasure only.
    func allowing(_ goal: SessionGoal) -> DialogueProfile {
        guard case .erase(_, isConfirmed: true) = goal, let erasure else { return self }
        var copy = self
        copy.forbidden.removeAll { $0 == erasure }
        return copy
    }
}
