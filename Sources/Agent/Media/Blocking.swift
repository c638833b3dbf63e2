import Dispatch

/// Work that blocks (a slow card, an NFS mount): on a thread of Dispatch's, never on the cooperative pool.
enum Blocking {
    private static let queue = DispatchQueue(label: "blocking", attributes: .concurrent)

    static func run<Value: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Result(catching: work)) }
        }
        return try result.get()
    }
}
