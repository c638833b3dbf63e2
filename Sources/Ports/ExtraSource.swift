import Glibc

/// Watches the nodes that the configuration names, with inotify on the directories they appear in.
final class ExtraSource: PollSource {
    private static let interval: UInt64 = 2_000_000_000

    private let extras: [ExtraPort]
    private var known: KnownPorts
    private var inotify: Int32 = -1
    /// The watch of each directory; two paths to the same directory share one.
    private var watches: [String: Int32] = [:]
    /// Set when a directory can't be watched (it isn't there yet): then only looking helps.
    private var nextLook: UInt64?

    init(_ extras: [ExtraPort], announce: @escaping (DeviceEvent) -> Void) {
        self.extras = extras
        known = KnownPorts(announce: announce)
    }

    var descriptor: Int32? { inotify >= 0 ? inotify : nil }
    var interest: Int16 { Int16(POLLIN) }
    var deadline: UInt64? { nextLook }

    func begin() {
        inotify = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        look()
    }

    func ready(_ events: Int16, on loop: PortsLoop) {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(inotify, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            for event in changes(in: buffer[..<count]) where event.gone {
                // It may be there again already, as something else: then it departs and arrives.
                for extra in extras
                where places(of: extra.path).contains(where: {
                    watches[$0.directory] == event.watch && $0.name == event.name
                }) {
                    known.absent(extra.path)
                }
            }
        }
        look()
    }

    func expired(on loop: PortsLoop) { look() }

    func release() {
        if inotify >= 0 { _ = close(inotify) }
        inotify = -1
        nextLook = nil
    }

    private func look() {
        var everythingWatched = inotify >= 0
        for extra in extras {
            // Watched before looked at: what happens in between is seen.
            for place in places(of: extra.path) where !watch(place.directory) { everythingWatched = false }
            var status = stat()
            if unsafe stat(extra.path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR {
                let candidate = PortCandidate(
                    syspath: extra.path, devnode: extra.path, subsystem: "tty", profile: extra.profile)
                known.present(candidate, plugging: "\(status.st_rdev) \(status.st_ino)")
            } else {
                known.absent(extra.path)
            }
        }
        nextLook = everythingWatched ? nil : monotonicNow() + Self.interval
    }

    private func watch(_ directory: String) -> Bool {
        guard inotify >= 0 else { return false }
        let mask =
            IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
        // Asked again each time: it may be another directory of the same name by now.
        let number = unsafe inotify_add_watch(inotify, directory, UInt32(mask))
        watches[directory] = number >= 0 ? number : nil
        return number >= 0
    }

    /// The path and, link by link, what it points to: where something can appear or vanish.
    private func places(of path: String) -> [(directory: String, name: String)] {
        var places: [(directory: String, name: String)] = []
        var path = path
        // As many links as the kernel follows.
        for _ in 0..<40 {
            guard let slash = path.lastIndex(of: "/") else { break }
            let directory = slash == path.startIndex ? "/" : String(path[..<slash])
            places.append((directory, String(path[path.index(after: slash)...])))
            var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
            let count = unsafe target.withUnsafeMutableBytes { bytes in
                let characters = unsafe bytes.bindMemory(to: CChar.self)
                guard let start = characters.baseAddress else { return -1 }
                return unsafe readlink(path, start, characters.count)
            }
            guard count > 0, let text = String(validating: target[..<count], as: UTF8.self) else { break }
            path = text.hasPrefix("/") ? text : "\(directory)/\(text)"
        }
        return places
    }

    private struct Change {
        var watch: Int32
        var name: String
        /// The name was removed there.
        var gone: Bool
    }

    /// Each event: watch, mask, cookie, length of the name, and the name, filled up with zeros.
    private func changes(in bytes: ArraySlice<UInt8>) -> [Change] {
        func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) } }
        var changes: [Change] = []
        var at = bytes.startIndex
        while at + 16 <= bytes.endIndex {
            let mask = Int(word(at + 4))
            let end = at + 16 + Int(word(at + 12))
            guard end <= bytes.endIndex else { break }
            let name = String(decoding: bytes[(at + 16)..<end].prefix { $0 != 0 }, as: UTF8.self)
            changes.append(
                Change(
                    watch: Int32(bitPattern: word(at)), name: name,
                    gone: mask & Int(IN_DELETE | IN_MOVED_FROM) != 0))
            at = end
        }
        return changes
    }
}
