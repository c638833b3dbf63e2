import Clinical
import Devices
import Dispatch
import FoundationEssentials
import Glibc
import Logging
import Ports
import Store
import Wire

/// The cards and sticks that are there, and the copy of each. Looking is automatic; copying begins when a person says so, because
/// what comes in belongs to the visit that is open at that moment.
public actor MediaHub {
    private struct Medium {
        var path: String
        /// The one file that is meant; nil for all.
        var only: String?
        var state = State.surveying
        var tree: (any Tree)?
        /// Which one it is, where the kernel says so.
        var mark: MediumMark?
        var survey: MediaSurvey?
        var tally: MediaTally?
        var task: Task<Result<Void, MediaRun.Stop>, Never>?
        var problem: Problem?

        /// It was looked through, and not to its end.
        var isPartly: Bool { survey?.isAll == false }
    }

    private enum State: String { case surveying, ready, importing, done, interrupted, unreadable }

    private let store: Store
    private let clock: HostClock
    private let importers: [any Importer]
    private let logger: Logger
    private let changed: @Sendable () -> Void
    private var media: [Int: Medium] = [:]
    private var count = 0
    /// Below it media are mounted, and what is there now is known.
    private var directory: String?
    private var known: [String: MediumMark?] = [:]
    private let bell = Bell()
    /// Media that nobody asked about are forgotten first.
    private static let limit = 32

    /// - Parameter changed: called after a copy, so that freezing looks at once.
    init(
        store: Store, clock: HostClock, importers: [any Importer] = Registry.importers, logger: Logger,
        changed: @escaping @Sendable () -> Void
    ) {
        self.store = store
        self.clock = clock
        self.importers = importers
        self.logger = logger
        self.changed = changed
    }

    /// Ends all copies; what is whole is kept, and they can be continued.
    func shutdown() async {
        let tasks = media.values.compactMap(\.task)
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.value }
    }

    // MARK: Arrival

    /// Follows what is mounted below a directory until cancelled; whatever appears is looked through, and nothing is copied.
    /// - Parameter directory: one subdirectory for each medium; an empty one is none (yet).
    func watch(_ directory: String) async {
        self.directory = directory
        while !Task.isCancelled {
            // Watched before looked at: what happens in between rings. Anew each time: another directory may have its name by now.
            var watch = await DirectoryWatch(directory) { [bell] in bell.ring() }
            let isThere = watch != nil
            if watch == nil { watch = await DirectoryWatch(Self.parent(of: directory)) { [bell] in bell.ring() } }
            let (present, places) = await Blocking.run { Self.mounted(below: directory) }
            // Another medium under the same name, perhaps between two looks: the one that was known is out.
            let isNew = present.filter { known[$0.key] != .some($0.value) }
            for path in known.keys where present[path] == nil || isNew[path] != nil { departed(path) }
            known = present
            for path in isNew.keys.sorted() {
                do throws(Problem) {
                    _ = try await survey(path)
                } catch {
                    logger.error("a medium can't be looked through", metadata: ["problem": "\(error.key)"])
                }
            }
            // A mount on a directory that is there already changes nothing in this one: while there is a place for one, it is looked at
            // every second. All day long there is none.
            let isQuiet = watch != nil && places == (isThere ? 0 : nil)
            await bell.wait(atMost: .seconds(isQuiet ? 60 : 1))
            watch?.stop()
        }
        await shutdown()
    }

    private static func parent(of directory: String) -> String {
        directory.lastIndex(of: "/").map { String(directory[..<$0]) }.flatMap { $0.isEmpty ? nil : $0 } ?? "/"
    }

    /// Media, and how many places for one there are; nil where there is no such directory.
    private static func mounted(below directory: String) -> (media: [String: MediumMark?], places: Int?) {
        guard let tree = try? MountedTree(directory), let entries = try? tree.list([]) else { return ([:], nil) }
        var media: [String: MediumMark?] = [:]
        for entry in entries where entry.kind == .directory && (try? tree.list([entry.name]).isEmpty) == false {
            let path = "\(directory)/\(entry.name)"
            let mark = MediumMark(of: path, below: directory)
            // What is still shown of a medium that is out already: whoever mounted it takes it away.
            if mark?.isThere != false { media.updateValue(mark, forKey: path) }
        }
        return (media, entries.count { $0.kind == .directory })
    }

    /// A copy that is running notices by itself; one that was cut stays on the screen, so that it is continued.
    private func departed(_ path: String) {
        for (id, medium) in media where medium.path == path || medium.path.hasPrefix(path + "/") {
            switch medium.state {
            // An open root would keep the medium busy, and the next one in the same reader from being seen.
            case .interrupted: media[id]?.tree = nil
            case .ready, .done, .unreadable: media[id] = nil
            case .surveying, .importing: break
            }
        }
    }

    // MARK: Looking

    /// Looks through what is at a path.
    /// - Parameter path: absolute; a directory, or one file.
    func look(at path: String) async throws(Problem) -> MediumView {
        let id = try await survey(path)
        guard let medium = media[id] else { throw .mediumNotFound }
        if let problem = medium.problem {
            media[id] = nil
            throw problem
        }
        return view(id, medium)
    }

    func views() -> [MediumView] { media.sorted { $0.key < $1.key }.map { view($0.key, $0.value) } }

    func view(_ name: String) throws(Problem) -> MediumView {
        let id = try find(name)
        guard let medium = media[id] else { throw .mediumNotFound }
        return view(id, medium)
    }

    /// The same path twice is the same medium, looked at again; not while it is being copied.
    private func survey(_ path: String) async throws(Problem) -> Int {
        let (directory, only) = try Self.split(path)
        let known = media.first { $0.value.path == directory && $0.value.only == only }
        if let known, known.value.state == .importing || known.value.state == .surveying { return known.key }
        let id: Int
        if let known {
            id = known.key
        } else {
            count += 1
            id = count
            if media.count >= Self.limit, let oldest = media.filter({ $0.value.task == nil }).keys.min() {
                media[oldest] = nil
            }
        }
        media[id] = Medium(path: directory, only: only)
        do throws(TreeError) {
            let mounts = self.directory
            let (tree, mark, survey) = try await Blocking.run { [importers] () throws(TreeError) in
                // Noted before it is opened: whatever is exchanged from here on is noticed.
                let mark = mounts.flatMap { MediumMark(of: directory, below: $0) }
                let mounted = try MountedTree(directory)
                let tree: any Tree = mark.map { WatchedTree(tree: mounted, mark: $0) } ?? mounted
                return (tree, mark, try MediaSurvey.take(of: tree, only: only, importers: importers))
            }
            media[id]?.tree = tree
            media[id]?.mark = mark
            media[id]?.survey = survey
            media[id]?.state = .ready
            logger.info(
                "medium looked through",
                metadata: [
                    "medium": "\(id)", "recordings": "\(survey.candidates.count)", "other": "\(survey.opaque.count)",
                    "bytes": "\(survey.bytes)",
                ])
        } catch {
            media[id]?.state = .unreadable
            media[id]?.problem = Problem(error)
        }
        return id
    }

    /// A directory, or a file's directory with the file's name.
    private static func split(_ path: String) throws(Problem) -> (directory: String, only: String?) {
        guard path.hasPrefix("/") else { throw .badRequest("Le chemin doit être absolu.") }
        let parts = path.split(separator: "/").map(String.init)
        let kind: TreeEntry.Kind
        do throws(TreeError) {
            kind = try MountedTree.kind(of: path)
        } catch {
            throw .pathUnreadable(error == .denied(path) ? "accès refusé à l'agent" : "il n'existe pas")
        }
        guard kind == .file else { return ("/" + parts.joined(separator: "/"), nil) }
        return ("/" + parts.dropLast().joined(separator: "/"), parts.last)
    }

    private func find(_ name: String) throws(Problem) -> Int {
        guard let id = Int(name), media[id] != nil else { throw .mediumNotFound }
        return id
    }

    // MARK: Copying

    /// Copies a medium, or goes on where it was cut. What comes in belongs to the visit that is open now.
    func start(_ name: String, by person: String) async throws(Problem) -> MediumView {
        let id = try find(name)
        guard let medium = media[id] else { throw .mediumNotFound }
        guard medium.task == nil else { return view(id, medium) }
        // Another one is in its place than the nurse was shown: hers to see first.
        if medium.state == .ready, medium.mark?.isThere == false {
            departed(medium.path)
            known[medium.path] = nil
            bell.ring()
            throw .mediumExchanged
        }
        // It may have been out in between, or hold more than it did.
        if medium.state != .ready {
            _ = try await survey(medium.path + (medium.only.map { "/\($0)" } ?? ""))
            guard media[id]?.mark == medium.mark else { throw .mediumExchanged }
        }
        return try await begin(id, by: person)
    }

    private func begin(_ id: Int, by person: String) async throws(Problem) -> MediumView {
        let visit: Visit?
        do throws(StoreError) { visit = try await store.currentVisit() } catch { throw Problem(error) }
        guard let medium = media[id] else { throw .mediumNotFound }
        guard medium.task == nil else { return view(id, medium) }
        guard let tree = medium.tree, let survey = medium.survey else { throw medium.problem ?? .mediumNotFound }
        let tally = MediaTally()
        let run = MediaRun(
            store: store, clock: clock, logger: logger, tree: tree, path: medium.path, survey: survey,
            visit: visit, person: person,
            tally: tally)
        media[id]?.tally = tally
        media[id]?.problem = nil
        media[id]?.state = .importing
        media[id]?.task = Task {
            let result: Result<Void, MediaRun.Stop>
            do throws(MediaRun.Stop) {
                try await run.run()
                result = .success(())
            } catch {
                result = .failure(error)
            }
            self.ended(id, result)
            return result
        }
        return view(id, media[id] ?? medium)
    }

    /// Ends the copy; it can be continued.
    func stop(_ name: String) async throws(Problem) -> MediumView {
        let id = try find(name)
        if let task = media[id]?.task {
            task.cancel()
            _ = await task.value
        }
        return try view(name)
    }

    /// Looks, copies and waits for the end: what the command line asks for.
    func importAll(_ path: String, by person: String) async throws(Problem) -> ImportView {
        let id = try await survey(path)
        guard let medium = media[id] else { throw .mediumNotFound }
        if let problem = medium.problem {
            media[id] = nil
            throw problem
        }
        guard let survey = medium.survey, !survey.isEmpty else {
            media[id] = nil
            throw medium.isPartly ? .mediumUnread : .nothingToImport
        }
        _ = try await begin(id, by: person)
        if let task = media[id]?.task { _ = await task.value }
        guard let ended = media[id], let counts = ended.tally?.now else { throw .mediumNotFound }
        return ImportView(
            imported: counts.imported, known: counts.known, failed: counts.failed,
            toDecide: counts.held.count + counts.undecided, ignored: survey.leftOut,
            isAll: survey.isAll, hint: Self.hint(survey), problem: ended.problem)
    }

    private func ended(_ id: Int, _ result: Result<Void, MediaRun.Stop>) {
        media[id]?.task = nil
        // The descriptor on the medium would keep it from being unmounted.
        media[id]?.tree = nil
        switch result {
        case .success:
            media[id]?.state = .done
        case .failure(let stop):
            media[id]?.state = .interrupted
            media[id]?.problem =
                switch stop {
                case .gone: .mediumGone
                case .storage(let error): Problem(error)
                case .cancelled: nil
                }
            // Something else may be in its place by now: looked at as what has just come.
            if case .gone = stop, let path = media[id]?.path, known.removeValue(forKey: path) != nil { bell.ring() }
        }
        let counts = media[id]?.tally?.now
        logger.notice(
            "medium copied",
            metadata: [
                "medium": "\(id)", "state": "\(media[id]?.state.rawValue ?? "-")",
                "imported": "\(counts?.imported.count ?? 0)", "known": "\(counts?.known.count ?? 0)",
                "failed": "\(counts?.failed.count ?? 0)", "bytes": "\(counts?.bytes ?? 0)",
                "problem": "\(media[id]?.problem?.key ?? "-")",
            ])
        changed()
    }

    // MARK: Telling

    private func view(_ id: Int, _ medium: Medium) -> MediumView {
        let counts = medium.tally?.now
        return MediumView(
            id: "\(id)", label: medium.path.split(separator: "/").last.map(String.init) ?? "/",
            state: medium.state.rawValue, sentence: Self.sentence(medium, counts),
            hint: medium.survey.flatMap(Self.hint), mayRemove: medium.state != .importing && medium.state != .surveying,
            found: medium.survey.map {
                MediumView.Found(
                    recordings: $0.candidates.count, otherFiles: $0.opaque.count, leftOut: $0.leftOut,
                    missing: $0.missing, bytes: $0.bytes, isAll: $0.isAll)
            }, progress: counts.map { progress($0, isRunning: medium.state == .importing) },
            imported: counts?.imported ?? [], held: counts?.held ?? [], known: counts?.known ?? [],
            failed: counts?.failed ?? [], problem: medium.problem)
    }

    private func progress(_ counts: MediaTally.Counts, isRunning: Bool) -> MediumView.Progress {
        let seconds = Double(clock.monotonic - min(counts.begun, clock.monotonic)) / 1e9
        let rate = isRunning && seconds > 1 && counts.bytes > 0 ? Double(counts.bytes) / seconds : nil
        return MediumView.Progress(
            items: counts.items, ofItems: counts.ofItems, bytes: counts.bytes, ofBytes: counts.ofBytes,
            bytesPerSecond: rate, secondsLeft: rate.map { Double(max(0, counts.ofBytes - counts.bytes)) / $0 })
    }

    private static func hint(_ survey: MediaSurvey) -> String? {
        // With nothing to copy the sentence says it.
        if !survey.isAll { return survey.isEmpty ? nil : MediumSentence.partly }
        return survey.missing > 0 ? MediumSentence.incomplete(survey.missing) : nil
    }

    private static func sentence(_ medium: Medium, _ counts: MediaTally.Counts?) -> String {
        switch medium.state {
        case .surveying: return MediumSentence.surveying
        case .ready:
            guard let survey = medium.survey, !survey.isEmpty else {
                return medium.isPartly ? MediumSentence.unread : MediumSentence.nothing
            }
            return MediumSentence.ready(
                survey.candidates.count + survey.opaque.count, "\((survey.bytes + 999_999) / 1_000_000)")
        case .importing: return MediumSentence.importing
        case .done:
            if let failed = counts?.failed.count, failed > 0 { return MediumSentence.failed(failed) }
            let (held, undecided) = (counts?.held.count ?? 0, counts?.undecided ?? 0)
            guard held + undecided > 0 else {
                return medium.isPartly ? MediumSentence.partlyDone : MediumSentence.done
            }
            return MediumSentence.toDecide(held: held, undecided: undecided, isAll: !medium.isPartly)
        case .interrupted:
            switch medium.problem?.key {
            case Problem.mediumGone.key: return MediumSentence.gone
            case nil: return MediumSentence.stopped
            default: return MediumSentence.laptop
            }
        case .unreadable: return medium.problem?.text ?? MediumSentence.gone
        }
    }
}

extension Problem {
    public static let mediumNotFound = Problem(
        "medium-not-found", "Cette clé ou carte n'est pas connue ici. `ess-agent media` montre celles qui le sont.")
    public static let mediumExchanged = Problem("medium-exchanged", MediumSentence.exchanged)
    public static let mediumGone = Problem(
        "medium-gone", exit: .partial, MediumSentence.gone)
    public static let mediumUnread = Problem("medium-unread", exit: .partial, MediumSentence.unread)
}
