import Glibc
import Wire

/// The bookkeeping of the IN transfers of one endpoint: several are always in flight, so that the host is never late, and
/// one that returns goes to the end of the queue. Decides only; `USBLine` acts.
struct StreamRing {
    enum Decision: Equatable {
        /// Send it again.
        case resubmit
        /// Keep it: the endpoint is halted, or the port is ending.
        case hold
        /// The first of a halt: cancel the others.
        case drain
        /// All are back after a halt: clear it, then send all again.
        case recover
        case fail(PortError)
    }

    /// Halts in a row without any data in between; a device that always stalls has nothing to say.
    static let mostHalts = 8

    private(set) var inFlight = 0
    private(set) var isHalted = false
    private var halts = 0

    mutating func submitted() { inFlight += 1 }

    mutating func returned(_ outcome: Transfer.Outcome, bytes: Int) -> Decision {
        inFlight -= 1
        if bytes > 0 { halts = 0 }
        switch outcome {
        case .gone: return .fail(.gone)
        case .overflowed: return .fail(.overflow)
        case .stalled where !isHalted:
            isHalted = true
            halts += 1
            if halts > Self.mostHalts { return .fail(.system("read", EPIPE)) }
            return inFlight == 0 ? .recover : .drain
        case .completed, .timedOut, .cancelled, .stalled:
            guard isHalted else { return outcome == .cancelled ? .hold : .resubmit }
            return inFlight == 0 ? .recover : .hold
        }
    }

    mutating func recovered() { isHalted = false }
}
