import Clinical
import Wire

/// Where things lie on a card (devices.md 4.1), and which files make up a session (4.8). Reads names and the first 256
/// bytes of each file, nothing else.
struct ResmedLayout {
    /// Directories below the root in which a card (or a copy of one) is looked for.
    static let depthLimit = 4
    /// Files of one card: years of nights.
    static let fileLimit = 50_000
    /// EVE and CSL begin at therapy start, a little before the mask is on: seconds.
    static let mostDelay = 60

    /// A file of `DATALOG`.
    struct Entry {
        var path: [String]
        var size: Int
        var kind: ResmedFileName.Kind
        /// Of the header when that is sound; otherwise of the name.
        var start: LocalTime
        var checksum: (path: [String], size: Int)?
    }

    struct Session {
        var start: LocalTime
        var files: [Entry]

        /// Days since 1970 of the noon at which its therapy day begins.
        var day: Int { ResmedLayout.day(of: start) }
    }

    var root: [String]
    /// By start.
    var sessions: [Session]
    /// Identification and statistics.
    var about: [[String]]

    /// The therapy day: [noon, noon).
    static func day(of time: LocalTime) -> Int { (time.civilSeconds - 43_200) / 86_400 }

    /// Cards in the tree: directories with a directory `DATALOG` and a file `STR.edf`.
    static func cards(in tree: any Tree) throws(TreeError) -> [ResmedLayout] {
        var cards: [ResmedLayout] = []
        var left = FileWalk.entryLimit
        look(in: [], entries: try tree.list([]), tree, &left, &cards)
        return cards
    }

    private static func look(
        in path: [String], entries: [TreeEntry], _ tree: any Tree, _ left: inout Int, _ cards: inout [ResmedLayout]
    ) {
        func named(_ name: String, _ kind: TreeEntry.Kind) -> TreeEntry? {
            entries.first { $0.kind == kind && $0.name.uppercased() == name }
        }
        if let log = named("DATALOG", .directory), let statistics = named("STR.EDF", .file) {
            var about = [path + [statistics.name]]
            for name in ["STR.CRC", "IDENTIFICATION.JSON", "IDENTIFICATION.TGT", "IDENTIFICATION.CRC"] {
                if let entry = named(name, .file) { about.append(path + [entry.name]) }
            }
            cards.append(ResmedLayout(root: path, log: path + [log.name], about: about, tree))
            return
        }
        guard path.count < depthLimit else { return }
        for entry in entries.sorted(by: { $0.name < $1.name }) where entry.kind == .directory {
            guard left > 0 else { return }
            left -= 1
            guard let below = try? tree.list(path + [entry.name]) else { continue }
            look(in: path + [entry.name], entries: below, tree, &left, &cards)
        }
    }

    private init(root: [String], log: [String], about: [[String]], _ tree: any Tree) {
        self.root = root
        self.about = about
        var entries: [Entry] = []
        Self.collect(log, tree, depth: 0, &entries)
        sessions = Self.join(entries)
    }

    /// Flat (S9), by day (AirSense 10 and 11), by year and day.
    private static func collect(_ path: [String], _ tree: any Tree, depth: Int, _ entries: inout [Entry]) {
        guard let list = try? tree.list(path) else { return }
        var sums: [String: TreeEntry] = [:]
        for entry in list where entry.kind == .file && entry.name.lowercased().hasSuffix(".crc") {
            sums[entry.name.lowercased()] = entry
        }
        for entry in list.sorted(by: { $0.name < $1.name }) {
            guard entries.count < fileLimit else { return }
            let inner = path + [entry.name]
            switch entry.kind {
            case .directory:
                if depth < 2 { collect(inner, tree, depth: depth + 1, &entries) }
            case .file:
                guard let name = ResmedFileName(entry.name), entry.size > 0 else { continue }
                let sum = sums[ResmedSession.checksumName(entry.name).lowercased()]
                let first = try? tree.read(inner, offset: 0, count: ResmedHeader.size)
                let header = first.flatMap { ResmedHeader($0) }
                var found = Entry(
                    path: inner, size: entry.size, kind: name.kind, start: name.stamp,
                    checksum: sum.map { (path + [$0.name], $0.size) })
                if let header, header.isSound {
                    // Nothing was recorded: the mask was on for seconds.
                    if header.records == 0 || entry.size <= header.headerSize { continue }
                    found.start = header.start ?? name.stamp
                }
                entries.append(found)
            case .other: continue
            }
        }
    }

    /// Sampled files by equal start; events by the nearest earlier start.
    private static func join(_ entries: [Entry]) -> [Session] {
        var sessions: [Session] = []
        var places: [LocalTime: [Int]] = [:]
        for entry in entries where entry.kind.isSampled {
            // A second file of the same kind and start is another session: nothing is left out.
            let place = places[entry.start]?.first { index in
                !sessions[index].files.contains { $0.kind == entry.kind }
            }
            if let place {
                sessions[place].files.append(entry)
            } else {
                places[entry.start, default: []].append(sessions.count)
                sessions.append(Session(start: entry.start, files: [entry]))
            }
        }
        let annotated = entries.filter { !$0.kind.isSampled }.sorted { $0.start.civilSeconds < $1.start.civilSeconds }
        for index in sessions.indices {
            let start = sessions[index].start.civilSeconds
            for kind in [ResmedFileName.Kind.events, .spans, .ventilation] {
                let nearest = annotated.last {
                    $0.kind == kind && (start - mostDelay...start).contains($0.start.civilSeconds)
                }
                if let nearest { sessions[index].files.append(nearest) }
            }
            sessions[index].files.sort { $0.kind.rawValue < $1.kind.rawValue }
        }
        return sessions.enumerated().sorted {
            ($0.element.start.civilSeconds, $0.offset) < ($1.element.start.civilSeconds, $1.offset)
        }.map(\.element)
    }
}
