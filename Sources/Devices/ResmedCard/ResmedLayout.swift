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
        var name: ResmedFileName
        /// Of the header when that is sound; otherwise of the name.
        var start: LocalTime
        /// Seconds; nil where the header doesn't say it.
        var length: Double?
        var checksum: (path: [String], size: Int)?
        /// Nothing was recorded: the mask was on for seconds.
        var isEmpty = false
        /// Of annotations: only the first, which says that therapy began.
        var isBare = false
        /// The header is one of ResMed's, as far as it can be checked.
        var isResmed = false
        var serial: String?

        var kind: ResmedFileName.Kind { name.kind }
        var paths: [[String]] { [path] + (checksum.map { [$0.path] } ?? []) }
    }

    struct Session {
        var start: LocalTime
        var files: [Entry]

        /// Days since 1970 of the noon at which its therapy day begins.
        var day: Int { ResmedLayout.day(of: start) }
        /// Of its sampled files; nil where one doesn't say how long it is.
        var length: Double? {
            let lengths = files.filter(\.kind.isSampled).map(\.length)
            return lengths.contains(nil) ? nil : lengths.compactMap { $0 }.max()
        }

        /// What began within a minute before it, or while it ran.
        func includes(_ start: LocalTime) -> Bool {
            let delay = Double(start.civilSeconds - self.start.civilSeconds)
            return delay >= -Double(ResmedLayout.mostDelay) && (length.map { delay < $0 } ?? true)
        }
    }

    /// Nil for a folder of nights without the card around it.
    var root: [String]?
    /// By start.
    var sessions: [Session] = []
    /// Identification and statistics.
    var about: [[String]]
    /// What the card holds as a device's memory.
    var memory: CardMemory

    /// The therapy day: [noon, noon).
    static func day(of time: LocalTime) -> Int { (time.civilSeconds - 43_200) / 86_400 }

    /// Cards in the tree: directories with a directory `DATALOG` and a file `STR.edf`, or without the file where `DATALOG` has files of
    /// ResMed's; and folders of such files that somebody copied.
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
        if let log = named("DATALOG", .directory) {
            let files = collect(path + [log.name], tree)
            if named("STR.EDF", .file) != nil || files.contains(where: \.isResmed) {
                cards.append(ResmedLayout(root: path, beside: entries, files, log: path + [log.name], tree))
                return
            }
        }
        var files: [Entry] = []
        collect(path, tree, depth: 2, &files)
        if files.contains(where: \.isResmed) { cards.append(ResmedLayout(files)) }
        guard path.count < depthLimit else { return }
        for entry in entries.sorted(by: { $0.name < $1.name })
        where entry.kind == .directory && !FileWalk.isSystems(entry.name) {
            guard left > 0 else { return }
            left -= 1
            guard let below = try? tree.list(path + [entry.name]) else { continue }
            look(in: path + [entry.name], entries: below, tree, &left, &cards)
        }
    }

    /// A card.
    private init(root: [String], beside: [TreeEntry], _ files: [Entry], log: [String], _ tree: any Tree) {
        self.root = root
        about = []
        for name in ["STR.EDF", "STR.CRC", "IDENTIFICATION.JSON", "IDENTIFICATION.TGT", "IDENTIFICATION.CRC"] {
            if let entry = beside.first(where: { $0.kind == .file && $0.name.uppercased() == name }) {
                about.append(root + [entry.name])
            }
        }
        // By its name: what else lies beside these (a stick's other folders) is read by whoever knows it.
        let own = beside.map(\.name).filter { name in
            let name = name.uppercased()
            return name == "SETTINGS" || ["STR.", "IDENTIFICATION.", "JOURNAL."].contains { name.hasPrefix($0) }
        }
        let found = ResmedIdentification.find(among: about, in: tree)
        memory = Self.memory(of: files, found, root: root, own: Set(own.map { root + [$0] } + [log]))
        join(files)
    }

    /// Nights without a card around them.
    private init(_ files: [Entry]) {
        about = []
        memory = Self.memory(of: files, nil, root: nil, own: Set(files.flatMap(\.paths)))
        join(files)
    }

    private static func memory(
        of files: [Entry], _ found: ResmedIdentification?, root: [String]?, own: Set<[String]>
    ) -> CardMemory {
        // Two machines' files on one card: then it is nobody's that is known.
        let serials = Set(files.compactMap(\.serial) + (found?.serial.map { [$0] } ?? []))
        var days: [Int: ClosedRange<LocalTime>] = [:]
        for file in files {
            let known = days[day(of: file.start)]
            days[day(of: file.start)] =
                min(known?.lowerBound ?? file.start, file.start)...max(known?.upperBound ?? file.start, file.start)
        }
        var byPath: [[String]: ClosedRange<LocalTime>] = [:]
        for file in files {
            for path in file.paths { byPath[path] = days[day(of: file.start)] }
        }
        return CardMemory(
            device: DeviceIdentity(
                driver: ResmedCard.driver, vendor: "ResMed", model: found?.product ?? found?.productCode ?? "CPAP",
                serial: serials.count == 1 ? serials.first : nil, firmware: found?.software, support: .verified),
            root: root, own: own, empty: Set(files.filter(\.isEmpty).flatMap(\.paths)), days: byPath)
    }

    /// Flat (S9), by day (AirSense 10 and 11), by year and day.
    private static func collect(_ path: [String], _ tree: any Tree) -> [Entry] {
        var entries: [Entry] = []
        collect(path, tree, depth: 0, &entries)
        return entries
    }

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
                if depth < 2, !FileWalk.isSystems(entry.name) { collect(inner, tree, depth: depth + 1, &entries) }
            case .file:
                guard let name = ResmedFileName(entry.name), let stamp = name.stamp, entry.size > 0 else { continue }
                let sum = sums[ResmedSession.checksumName(entry.name).lowercased()]
                let first = try? tree.read(inner, offset: 0, count: ResmedHeader.size)
                var found = Entry(
                    path: inner, size: entry.size, name: name, start: stamp,
                    checksum: sum.map { (path + [$0.name], $0.size) })
                if let header = first.flatMap({ ResmedHeader($0) }), header.isSound {
                    found.isResmed = header.isResmed
                    found.isEmpty = entry.size <= header.headerSize
                    found.isBare = name.kind.isAnnotated && (0...1).contains(header.records)
                    found.start = header.start ?? stamp
                    found.serial = header.serial
                    if header.records >= 0 { found.length = Double(header.records) * header.recordSeconds }
                }
                entries.append(found)
            case .other: continue
            }
        }
    }

    /// Sampled files by equal start; events to all sessions of the day that they may be of, as a day may have one file of them
    /// (devices.md 4.6).
    private mutating func join(_ entries: [Entry]) {
        var places: [LocalTime: [Int]] = [:]
        for entry in entries where entry.kind.isSampled && !entry.isEmpty {
            // A second file of the same name and start is another session: nothing is left out.
            let place = places[entry.start]?.first { index in
                !sessions[index].files.contains { $0.name.suffix == entry.name.suffix }
            }
            if let place {
                sessions[place].files.append(entry)
            } else {
                places[entry.start, default: []].append(sessions.count)
                sessions.append(Session(start: entry.start, files: [entry]))
            }
        }
        let days = Dictionary(grouping: sessions.indices) { sessions[$0].day }
        for entry in entries where !entry.kind.isSampled && !entry.isEmpty {
            let own = Self.day(of: entry.start)
            // Therapy may begin before noon for a mask that is on after it.
            let near = (days[own] ?? []) + (days[own + 1] ?? [])
            let next = near.filter {
                (0...Self.mostDelay).contains(sessions[$0].start.civilSeconds - entry.start.civilSeconds)
            }
            let day = next.map { sessions[$0].day }.min() ?? own
            // What nobody reads is kept once, with the session that it was written for.
            let all = days[day] ?? []
            let fitting =
                entry.kind.isAnnotated
                ? all.filter {
                    sessions[$0].includes(entry.start) || sessions[$0].start.civilSeconds > entry.start.civilSeconds
                } : Array((next + all.filter { sessions[$0].includes(entry.start) }).prefix(1))
            for index in fitting { sessions[index].files.append(entry) }
            // Therapy began, and nothing happened: not even a mask was put on.
            if fitting.isEmpty, entry.kind.isAnnotated, entry.isBare { memory.empty.formUnion(entry.paths) }
        }
        for index in sessions.indices {
            sessions[index].files.sort {
                ($0.kind.rawValue, $0.start.civilSeconds) < ($1.kind.rawValue, $1.start.civilSeconds)
            }
        }
        sessions = sessions.enumerated().sorted {
            ($0.element.start.civilSeconds, $0.offset) < ($1.element.start.civilSeconds, $1.offset)
        }.map(\.element)
    }
}
