import Glibc

/// Tells when an entry of a directory comes, goes or is renamed, with inotify on the ports thread: nobody has to look again and again at
/// a directory in which nothing happens all day. Goes on until `stop`, whoever still holds it: an optimised build lets go of what isn't
/// named again, also in the middle of a wait.
public final class DirectoryWatch: Sendable {
    private let id: UInt64

    /// - Parameters:
    ///   - directory: absolute; one that isn't there yet has to be looked for by the caller.
    ///   - changed: called on the ports thread; must not block. Changes that come together may be told once.
    /// - Returns: nil where the directory isn't there or can't be watched.
    public init?(_ directory: String, changed: @escaping @Sendable () -> Void) async {
        let id = PortsThread.shared.newID()
        let isWatching = await withCheckedContinuation { continuation in
            PortsThread.shared.perform { loop in
                guard let source = DirectorySource(directory, changed: changed) else {
                    return continuation.resume(returning: false)
                }
                loop.add(source, id: id)
                continuation.resume(returning: true)
            }
        }
        guard isWatching else { return nil }
        self.id = id
    }

    /// No call comes after the next turn of the ports thread.
    public func stop() {
        PortsThread.shared.perform { [id] loop in loop.remove(id) }
    }
}

private final class DirectorySource: PollSource {
    private let inotify: Int32
    private let changed: @Sendable () -> Void

    init?(_ directory: String, changed: @escaping @Sendable () -> Void) {
        inotify = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard inotify >= 0 else { return nil }
        // The directory itself going counts: it has to be looked for again.
        let events = UInt32(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
        guard unsafe inotify_add_watch(inotify, directory, events | UInt32(IN_ONLYDIR)) >= 0 else {
            _ = close(inotify)
            return nil
        }
        self.changed = changed
    }

    var descriptor: Int32? { inotify }
    var interest: Int16 { Int16(POLLIN) }
    var deadline: UInt64? { nil }

    func ready(_ events: Int16, on loop: PortsLoop) {
        var buffer = [UInt8](repeating: 0, count: 4 << 10)
        // What happened doesn't matter: the caller looks.
        while unsafe buffer.withUnsafeMutableBytes({ unsafe read(inotify, $0.baseAddress, $0.count) }) > 0 {}
        changed()
    }

    func expired(on loop: PortsLoop) {}

    func release() { _ = close(inotify) }
}
