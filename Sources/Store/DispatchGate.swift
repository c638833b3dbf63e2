internal import Dispatch

/// Where the few blocking calls outside GRDB's own queues run (opening, closing).
enum DispatchGate {
    private static let queue = DispatchQueue(label: "ess-agent.store.gate", attributes: .concurrent)

    static func run(_ work: @escaping @Sendable () -> Void) { queue.async(execute: work) }
}
