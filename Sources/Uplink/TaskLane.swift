import FHIR
import FoundationEssentials

/// W4: how far a visit is, told to the server (sync.md 4.2). The server's cancellation wins.
public struct TaskLane: Sendable {
    public enum State: String, Sendable {
        case inProgress = "in-progress"
        case completed
    }

    public enum Outcome: Sendable, Equatable {
        case told
        /// The server has ended this task; its word holds.
        case ended(status: String)
    }

    private let link: ServerLink
    private let offer: Offer

    public init(_ link: ServerLink, offer: Offer) {
        self.link = link
        self.offer = offer
    }

    /// Reads the task, changes its status alone, and writes it back only if nobody else did meanwhile.
    public func tell(_ visit: String, _ state: State) async throws(UplinkError) -> Outcome {
        let url = try link.fhirURL(offer, "/Task/\(Origin.escaped(visit))")
        for _ in 0..<3 {
            let there = try await read(url)
            switch there.status {
            case state.rawValue: return .told
            case "cancelled", "rejected", "entered-in-error", "failed", "completed":
                return .ended(status: there.status)
            // The centre holds it for a reason of its own; what was recorded arrives all the same.
            case "on-hold" where state == .inProgress: return .told
            default: break
            }
            guard let body = JSONText.replacing("status", with: state.rawValue, in: there.body) else {
                throw .malformed("a task that can't be changed")
            }
            let answer = try await link.exchange(
                .put, url,
                headers: [
                    "If-Match": there.etag, "Accept": "application/fhir+json; fhirVersion=4.0",
                    "Content-Type": "application/fhir+json; fhirVersion=4.0; charset=utf-8",
                ], body: .bytes(body))
            // Somebody else was faster: read again, and look again what it is now.
            if answer.status == 412 || answer.status == 409 { continue }
            if let error = UplinkError(answer, from: link.origin) { throw error }
            if answer.isHTML { throw .captivePortal("HTML to a task") }
            return .told
        }
        throw .conflict(status: 412, "the task changes faster than it can be told")
    }

    private func read(_ url: String) async throws(UplinkError) -> (status: String, etag: String, body: [UInt8]) {
        let response = try await link.exchange(.get, url, headers: ["Accept": "application/fhir+json; fhirVersion=4.0"])
        if let error = UplinkError(response, from: link.origin) { throw error }
        try link.expectJSON(response)
        let task: TaskResource
        do {
            task = try FHIRCodec.decode(TaskResource.self, from: response.body)
        } catch {
            throw .malformed("\(error)")
        }
        // Never guessed (sync.md 1.1).
        guard let etag = response.headers["ETag"] ?? task.meta?.versionId.map({ "W/\"\($0)\"" }) else {
            throw .malformed("a task without a version")
        }
        return (task.status ?? "", etag, response.body)
    }
}
