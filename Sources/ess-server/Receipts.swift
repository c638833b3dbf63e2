import Foundation
import HTTPTypes
import Hummingbird

/// `GET /ess/v1/recordings/{rid}/receipt`: the only answer on which another machine may delete its copy.
struct Receipts {
    let recordings: Recordings
    let faults: Faults

    func add(to router: Router<Context>) {
        router.get("/ess/v1/recordings/:rid/receipt") { _, context in
            guard let rid = context.parameters.get("rid").flatMap({ UUID(uuidString: $0) })?.uuidString.lowercased()
            else { throw Refusal.invalid("the recording's id is not a UUID") }
            if faults.putsOffReceipt() {
                return Answer(
                    status: 202, headers: ["Retry-After": "1"], body: ["rid": .string(rid), "state": "checking"]
                )
                .response(type: "application/json")
            }
            guard !faults.hasLostReceipt(of: rid) else {
                return answer(.unknown, rid: rid).response(type: "application/json")
            }
            return answer(try await recordings.standing(rid), rid: rid).response(type: "application/json")
        }
    }

    private func answer(_ standing: Recordings.Standing, rid: String) -> Answer {
        switch standing {
        case .unknown:
            return Answer(status: 404, body: ["rid": .string(rid), "state": "unknown"])
        case .underway(let upload):
            let checking = upload.state == .checking
            return Answer(
                status: 202, headers: ["Retry-After": checking ? "1" : "5"],
                body: [
                    "rid": .string(rid), "state": .string(upload.state.rawValue), "offset": JSON(upload.position),
                    "length": JSON(upload.length),
                ])
        case .wrong(let announced, let found, let size):
            return Answer(
                status: 409,
                body: [
                    "rid": .string(rid), "state": "wrong", "sha256": .string(found), "announced": .string(announced),
                    "size": JSON(size),
                ])
        case .stored(let recording):
            let sha256 = faults.receiptHash(recording.sha256)
            let digest = Data(Disk.bytes(hexadecimal: sha256) ?? []).base64EncodedString()
            return Answer(
                status: 200, headers: ["Repr-Digest": "sha-256=:\(digest):", "Cache-Control": "no-store"],
                body: [
                    "rid": .string(rid), "sha256": .string(sha256), "size": JSON(recording.size),
                    "storedAt": .string(Instant.text(recording.stored)), "durability": "fsync",
                    "storeEpoch": .string(recordings.ledger.storeEpoch),
                ])
        }
    }
}
