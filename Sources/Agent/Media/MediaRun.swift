import Clinical
import Devices
import Formats
import FoundationEssentials
import Glibc
import Logging
import Store
import Wire

/// Copies a surveyed medium into the store, file by file, in constant memory. Everything that is whole is kept whatever happens
/// next, and is known again when the medium comes back.
struct MediaRun: Sendable {
    let store: Store
    let clock: HostClock
    let logger: Logger
    let tree: any Tree
    /// Where the tree was opened.
    let path: String
    let survey: MediaSurvey
    /// The visit that was open when a person started this; nil: nobody's yet.
    let visit: Visit?
    let person: String
    let tally: MediaTally

    /// Why a run ended early. What was copied before is kept.
    enum Stop: Error {
        case gone(TreeError)
        case storage(StoreError)
        case cancelled
    }

    /// What one file came to that didn't end the run.
    enum Failure: Error {
        case file(ImportError)
        case stop(Stop)
    }

    private static let bundleLimit = 1 << 30

    func run() async throws(Stop) {
        tally.update {
            $0.ofItems = survey.candidates.count + (survey.opaque.isEmpty ? 0 : 1)
            $0.ofBytes = survey.bytes
            $0.begun = clock.monotonic
        }
        var opaque = survey.opaque
        for (index, candidate) in survey.candidates.enumerated() {
            guard !Task.isCancelled else { throw .cancelled }
            let before = tally.now.bytes
            do throws(Failure) {
                try await take(candidate)
            } catch {
                switch error {
                case .stop(let stop): throw stop
                case .file(let error):
                    // Pulled out: nothing else can be read either, and nothing is wrong with this file.
                    try await requireMedium(after: error)
                    if let reason = error.reason {
                        logger.notice(
                            "a file is carried as it is",
                            metadata: ["driver": "\(candidate.importer.name)", "reason": "\(reason)"])
                    }
                    tally.update {
                        // Whole, and carried like all that nobody here understands: no trouble of the nurse's.
                        if !error.isUnsupported { $0.failed.append(.init(item: index + 1, text: error.sentence)) }
                        $0.ofItems += opaque.isEmpty ? 1 : 0
                        $0.ofBytes += candidate.item.size
                    }
                    // What can't be understood is still carried; once, where several recordings share a file.
                    opaque += candidate.files.filter { !opaque.contains($0) }
                }
            }
            tally.update {
                $0.items += 1
                $0.bytes = before + candidate.item.size
            }
        }
        try await bundle(opaque)
    }

    private func requireMedium(after error: ImportError) async throws(Stop) {
        guard case .tree = error else { return }
        try await requireMedium()
    }

    /// Something was on it a moment ago: when it can't be listed, is empty, or isn't in its place any more, it is out. (A directory that
    /// is open outlives its name: what is being deleted in it meanwhile looks like one file after the other that can't be read.)
    func requireMedium() async throws(Stop) {
        do throws(TreeError) {
            let isThere = try await Blocking.run { [tree, path] () throws(TreeError) in
                let isEmpty = try tree.list([]).isEmpty
                return unsafe access(path, F_OK) == 0 && !isEmpty
            }
            if !isThere { throw .notFound("medium") }
        } catch {
            throw .gone(error)
        }
    }

    private func take(_ candidate: MediaSurvey.Candidate) async throws(Failure) {
        let (importer, item) = (candidate.importer, candidate.item)
        let mark = try await look { [tree] () throws(ImportError) in
            do throws(TreeError) { return try candidate.mark(in: tree) } catch { throw .tree(error) }
        }
        if let known = try await ask({ () throws(StoreError) in try await store.recording(ofMark: mark) }) {
            return try await knew(known)
        }
        // The same bytes in another place, or under another date (a card's times move with the clock's summer): read, and not decoded.
        let (original, source) = try await look { [tree] () throws(ImportError) in
            let original = try importer.original(of: item, from: tree)
            return (
                original, original.map { importer.source(ofHash: DocumentHasher.sha256(importer.identity(of: $0))) }
            )
        }
        if let source,
            let known = try await ask({ () throws(StoreError) in
                try await store.recording(ofSource: source, by: person, mark: mark)
            })
        {
            return try await knew(known)
        }
        let taken = try await look { [tree] () throws(ImportError) in
            try importer.take(item, original: original, from: tree)
        }
        switch taken {
        case .decoded(let read): try await keep(read, source: source, mark: mark)
        // One file: what is carried has no parts.
        case .carried(let file): try await carry(file, candidate.files[0], mark: mark)
        }
    }

    private func look<Value: Sendable>(
        _ work: @escaping @Sendable () throws(ImportError) -> Value
    ) async throws(Failure) -> Value {
        do throws(ImportError) { return try await Blocking.run(work) } catch { throw .file(error) }
    }

    /// A recording that was decoded: all of it in one transaction.
    private func keep(_ read: ImportedRecording, source: String?, mark: String) async throws(Failure) {
        var recording = begun(
            read.device, modality: read.modality, start: read.start, rawStart: read.rawStart, claim: read.claim,
            source: source ?? "\(read.device.driver)/\(DocumentHasher.sha256(read.original))", objectID: read.objectID)
        recording.channels = read.waveform.channels
        // A file without a start waits for a person to say it: it is a signal in time.
        if read.start == nil { recording.clock.source = .unknown }
        let complete = recording
        let outcome = try await ask { () throws(StoreError) in
            try await store.importRecording(
                complete, waveform: read.waveform, original: read.original, notes: read.notes, binding: binding)
        }
        switch outcome {
        case .alreadyStored(let known):
            try await knew(known)
            try await ask { () throws(StoreError) in try await store.mark(mark, heldBy: known) }
        case .stored(let attribution):
            try await imported(complete, attribution)
            await collect(read.notes, from: read.device)
            try await ask { () throws(StoreError) in try await store.mark(mark, heldBy: complete.id) }
        }
    }

    /// What nobody knew is not only kept with the recording: it is told with the device, once. The recording is stored by now,
    /// so a failure here is only logged. No text in the log: it may repeat words of the file.
    private func collect(_ notes: [Note], from device: DeviceIdentity) async {
        let surprises = Set(notes.filter { $0.kind == .surprise }.map(\.text)).sorted().prefix(50)
        do throws(StoreError) {
            for text in surprises where try await store.surprise(text, from: device, at: clock.wall) {
                logger.notice("a file has something new", metadata: ["driver": "\(device.driver)"])
            }
        } catch {
            logger.error("what a file has that is new can't be remembered", metadata: ["error": "\(error)"])
        }
    }

    var binding: Binding? { visit.map { Binding(visit: $0.id, reason: .openVisit, by: person, at: clock.wall) } }

    func begun(
        _ device: DeviceIdentity, modality: Recording.Modality, start: LocalTime?, rawStart: String?,
        claim: IdentityClaim?, source: String, objectID: String? = nil
    ) -> Recording {
        var random = SystemRandomNumberGenerator()
        return Recording(
            id: RecordingID(milliseconds: UInt64(clock.wall), random: &random), kind: .file, modality: modality,
            origin: device.isSimulated ? .simulated : .imported, device: device, channels: [],
            // Images and bundles without a date of their own are dated by their import, which is what `host` says.
            clock: clock.facts(deviceStart: start, deviceRaw: rawStart, source: start == nil ? .host : .file),
            source: source, objectID: objectID, claim: claim)
    }

    /// It came before: in this run too, what waits for a decision says that the medium isn't only the open visit's.
    func knew(_ known: RecordingID) async throws(Failure) {
        let isWaiting = try await ask { () throws(StoreError) in
            guard visit != nil, let summary = try await store.recording(known)?.summary else { return false }
            return summary.binding == nil
        }
        tally.update {
            $0.known.append("\(known)")
            if isWaiting {
                $0.isMixed = true
                $0.undecided += 1
            }
        }
    }

    func imported(_ recording: Recording, _ attribution: Attribution) async throws(Failure) {
        let isOpenVisits = try await ask { () throws(StoreError) in
            guard let visit else { return true }
            guard case .attributed(let other) = attribution else { return false }
            // A loan may be of another visit of theirs.
            let patient = try await store.visit(other)?.patient.id
            return other == visit.id || patient == visit.patient.id
        }
        tally.update {
            $0.imported.append("\(recording.id)")
            if attribution.isHeld { $0.held.append("\(recording.id)") }
            if visit != nil, attribution == .unattributed { $0.undecided += 1 }
            if !isOpenVisits { $0.isMixed = true }
        }
        logger.info(
            "file imported",
            metadata: [
                "recording": "\(recording.id)", "driver": "\(recording.device.driver)", "held": "\(attribution.isHeld)",
            ])
    }

    /// What nobody understands. What a device's memory holds of several days is not one thing: they may be several patients'.
    private func bundle(_ files: [MediumFile]) async throws(Stop) {
        guard !files.isEmpty else { return }
        let before = tally.now.bytes
        var groups: [(origin: MediaSurvey.Origin?, files: [MediumFile])] = []
        for file in files {
            let origin = survey.origin(of: file)
            if let place = groups.firstIndex(where: { $0.origin == origin }) {
                groups[place].files.append(file)
            } else {
                groups.append((origin, [file]))
            }
        }
        for group in groups { try await bundle(group.files, of: group.origin) }
        tally.update {
            $0.items += 1
            $0.bytes = before + files.reduce(0) { $0 + $1.size }
        }
    }

    /// Bundles that are never larger than a file of theirs has to be.
    private func bundle(_ files: [MediumFile], of origin: MediaSurvey.Origin?) async throws(Stop) {
        var group: [MediumFile] = []
        for file in files + [nil] {
            let size = group.reduce(0) { $0 + $1.size }
            guard let file, size == 0 || size + file.size <= Self.bundleLimit else {
                do throws(Failure) {
                    try await carry(bundleOf: group, origin)
                } catch {
                    guard case .file(let error) = error else {
                        if case .stop(let stop) = error { throw stop }
                        return
                    }
                    try await requireMedium(after: error)
                    tally.update { $0.failed.append(.init(item: survey.candidates.count + 1, text: error.sentence)) }
                }
                group = file.map { [$0] } ?? []
                continue
            }
            group.append(file)
        }
    }

    /// The store's troubles are the laptop's: they end the run, and never make a file look damaged.
    @discardableResult
    func ask<Value: Sendable>(
        _ body: () async throws(StoreError) -> Value
    ) async throws(Failure) -> Value {
        do throws(StoreError) { return try await body() } catch { throw .stop(.storage(error)) }
    }
}

extension ImportError {
    /// For support, in English and without any identity; nil where it is the medium's.
    fileprivate var reason: String? {
        switch self {
        case .damaged(let why), .unsupported(let why): why
        case .notRecognised, .tree: nil
        }
    }

    fileprivate var isUnsupported: Bool { if case .unsupported = self { true } else { false } }

    var sentence: String {
        switch self {
        case .notRecognised: "ce fichier n'est plus ce qu'il semblait être"
        case .damaged: "fichier endommagé : il est gardé tel quel"
        case .unsupported: "fichier d'une variante inconnue"
        case .tree(let error): "illisible (\(Problem(error).text))"
        }
    }
}
