import Synchronization

/// What a run over a medium has done so far; read by screens at any moment.
final class MediaTally: Sendable {
    struct Counts: Sendable {
        /// Recordings and bundles that are dealt with, of all; bytes likewise.
        var items = 0
        var ofItems = 0
        var bytes = 0
        var ofBytes = 0
        var imported: [String] = []
        /// Of these, the ones that wait for a person's decision.
        var held: [String] = []
        /// What is here and nobody's although a visit is open, beside `held`: new, or from before.
        var undecided = 0
        /// Something that came now is not the open visit's, or may not be: so may what nobody understands beside it.
        var isMixed = false
        var known: [String] = []
        var failed: [ImportView.Failure] = []
        /// Monotonic nanoseconds.
        var begun: UInt64 = 0
    }

    private let counts = Mutex(Counts())

    var now: Counts { counts.withLock { $0 } }

    func update(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }
}
