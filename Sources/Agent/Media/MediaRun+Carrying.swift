import Clinical
import Devices
import FoundationEssentials
import Logging
import Store
import Wire

/// Files that are carried as they are: read and hashed on one thread while the part before is packed, sealed and written on
/// others, so that memory holds two batches whatever the file's size.
extension MediaRun {
    /// Parts in one transaction.
    private static let batch = 8

    func carry(_ file: CarriedFile, _ facts: MediumFile, mark: String) async throws(Failure) {
        // Only a file of the same size can be the same; then it is read twice rather than kept twice.
        if try await ask({ () throws(StoreError) in try await store.hasCarried(size: facts.size) }) {
            let content = try await hash(FileSource(facts, in: tree), mediaType: file.mediaType)
            if let known = try await ask({ () throws(StoreError) in try await store.carried(sha256: content.sha256) }) {
                try await ask { () throws(StoreError) in try await store.mark(mark, heldBy: known) }
                return try await knew(known)
            }
        }
        let recording = begun(
            file.device, modality: file.modality, start: file.start, rawStart: file.rawStart, claim: file.claim,
            source: "\(file.device.driver)/\(mark)", objectID: file.objectID)
        try await carry(
            recording, FileSource(facts, in: tree), mediaType: file.mediaType, study: file.study, size: facts.size,
            notes: file.notes, marks: [mark])
    }

    /// What of these files is new, as one bundle; what began to be copied for another patient, as one of its own.
    /// - Parameter origin: the device whose memory they are out of: its loans say whose they are, before the open visit does.
    func carry(bundleOf files: [MediumFile], _ origin: MediaSurvey.Origin?) async throws(Failure) {
        var fresh = Fresh()
        var begun = Fresh()
        for file in files {
            let mark: String
            do throws(TreeError) {
                mark = try await Blocking.run { [tree] () throws(TreeError) in try file.mark(in: tree) }
            } catch {
                // Said in the manifest; but a medium that is out is out.
                do throws(Stop) { try await requireMedium() } catch { throw .stop(error) }
                fresh.files.append(file)
                continue
            }
            if let known = try await holder(of: file, mark) {
                if !tally.now.known.contains("\(known)") { try await knew(known) }
            } else if try await isBegunForAnother(mark) {
                begun.add(file, mark)
            } else {
                fresh.add(file, mark)
            }
        }
        try await carry(begun, origin, isShared: true)
        try await carry(fresh, origin, isShared: false)
    }

    private struct Fresh {
        var files: [MediumFile] = []
        /// Of those that could be looked at.
        var marks: [String] = []

        mutating func add(_ file: MediumFile, _ mark: String) {
            files.append(file)
            marks.append(mark)
        }
    }

    /// The recording that has it, in this place or in another.
    private func holder(of file: MediumFile, _ mark: String) async throws(Failure) -> RecordingID? {
        if let known = try await ask({ () throws(StoreError) in try await store.recording(ofMark: mark) }) {
            return known
        }
        // Only a file of the same size can be the same.
        let size = MediumFile.mark(ofSize: file.size)
        guard try await ask({ () throws(StoreError) in try await store.hasMark(beginning: size) }) else { return nil }
        let content: CarriedContent
        do throws(Failure) {
            content = try await hash(FileSource(file, in: tree), mediaType: "")
        } catch {
            // What of it can be read is carried, and the rest is told.
            if case .file = error { return nil }
            throw error
        }
        let known = try await ask { () throws(StoreError) in
            try await store.recording(ofMark: MediumFile.mark(ofContent: content))
        }
        if let known { try await ask { () throws(StoreError) in try await store.mark(mark, heldBy: known) } }
        return known
    }

    private func isBegunForAnother(_ mark: String) async throws(Failure) -> Bool {
        try await ask { () throws(StoreError) in
            guard let visit, let begun = try await store.recording(ofMark: MediumFile.mark(begun: mark)),
                let summary = try await store.recording(begun)?.summary
            else { return false }
            // Nobody's for a reason, and not because no visit was open.
            guard let bound = summary.binding?.visit else {
                return ![nil, .noVisit, .visitNotOpen].contains(summary.unattributed)
            }
            return try await store.visit(bound)?.patient.id != visit.patient.id
        }
    }

    /// - Parameter isShared: some of it may be another patient's.
    private func carry(_ fresh: Fresh, _ origin: MediaSurvey.Origin?, isShared: Bool) async throws(Failure) {
        let (files, marks) = (fresh.files, fresh.marks)
        guard !files.isEmpty else { return }
        let device =
            origin?.device
            ?? DeviceIdentity(driver: "opaque-bundle", vendor: "?", model: "?", serial: nil, support: .experimental)
        let recording = begun(
            device, modality: .other, start: nil, rawStart: nil, claim: nil,
            source: "\(device.driver)/\(DocumentHasher.fingerprint(marks.map { Array($0.utf8) }))")
        let damaged = try await carry(
            recording, BundleSource(files, in: tree), mediaType: BundleSource.mediaType, study: nil,
            size: files.reduce(0) { $0 + $1.size },
            notes: [Note(kind: .device, text: "\(files.count) files that nobody here understands, as they are")],
            marks: marks, company: isShared ? .withOthers : tally.now.isMixed ? .besideOthers : .alone,
            made: origin.map { .between($0.time) } ?? .asItsClockSays)
        // What an importer could not read either has been told with its recording.
        let opaque = Set(survey.opaque.map(\.path))
        let count = damaged.count { opaque.contains($0.path) }
        guard count > 0 else { return }
        tally.update {
            $0.failed.append(.init(item: survey.candidates.count + 1, text: MediumSentence.damaged(count)))
        }
    }

    private func hash(_ source: FileSource, mediaType: String) async throws(Failure) -> CarriedContent {
        do throws(TreeError) {
            return try await Blocking.run { () throws(TreeError) in
                var source = source
                var digest = CarriedDigest()
                while true {
                    let bytes = try source.next(CarriedWriter.partSize)
                    if bytes.isEmpty { return digest.content(mediaType: mediaType) }
                    digest.add(bytes)
                }
            }
        } catch {
            throw .file(.tree(error))
        }
    }

    private struct Batch<Source: CarriedSource>: Sendable {
        var source: Source
        var digest = CarriedDigest()
        var parts: [[UInt8]] = []
        var next = 0

        /// Blocking.
        func following() throws(TreeError) -> Batch {
            var batch = self
            batch.next += parts.count
            batch.parts = []
            while batch.parts.count < MediaRun.batch {
                let bytes = try batch.source.next(CarriedWriter.partSize)
                if bytes.isEmpty { break }
                batch.digest.add(bytes)
                batch.parts.append(bytes)
            }
            return batch
        }
    }

    /// - Returns: files that could not be read to their end.
    @discardableResult
    private func carry<Source: CarriedSource>(
        _ recording: Recording, _ source: Source, mediaType: String, study: StudyObject?, size: Int, notes: [Note],
        marks: [String], company: Company = .alone, made: MadeWhen = .asItsClockSays
    ) async throws(Failure) -> [MediumFile] {
        let writer = try await ask { () throws(StoreError) in
            try await store.beginCarried(
                recording, mediaType: mediaType, study: study, size: size, notes: notes, binding: binding,
                company: company, made: made, marks: marks.map { MediumFile.mark(begun: $0) })
        }
        let damaged: [MediumFile]
        do throws(Failure) {
            let copied = try await copy(source, to: writer, mediaType: mediaType)
            try await ask { () throws(StoreError) in
                try await store.finish(writer, copied.content, marks: marks + copied.contents)
            }
            damaged = copied.damaged
        } catch {
            await abandon(writer, error)
            throw error
        }
        try await imported(recording, writer.attribution)
        return damaged
    }

    private func copy<Source: CarriedSource>(
        _ source: Source, to writer: CarriedWriter, mediaType: String
    ) async throws(Failure) -> (content: CarriedContent, damaged: [MediumFile], contents: [String]) {
        var batch = Batch(source: source)
        var writing: Task<Result<Void, StoreError>, Never>?
        var failure: Failure?
        while failure == nil {
            if Task.isCancelled {
                failure = .stop(.cancelled)
                break
            }
            do throws(TreeError) {
                batch = try await Blocking.run { [batch] () throws(TreeError) in try batch.following() }
            } catch {
                failure = .file(.tree(error))
            }
            // At most one batch is on its way while the next is read.
            if case .failure(let error)? = await writing?.value { failure = .stop(.storage(error)) }
            writing = nil
            guard failure == nil, !batch.parts.isEmpty else { break }
            writing = Task { [batch, store] in
                do throws(StoreError) {
                    let sealed = try await Blocking.run { () throws(StoreError) in
                        var sealed: [CarriedWriter.Part] = []
                        for (index, bytes) in batch.parts.enumerated() {
                            sealed.append(try writer.seal(bytes, n: batch.next + index))
                        }
                        return sealed
                    }
                    try await store.append(sealed, to: writer)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            let count = batch.parts.reduce(0) { $0 + $1.count }
            tally.update { $0.bytes += count }
        }
        if case .failure(let error)? = await writing?.value, failure == nil { failure = .stop(.storage(error)) }
        if let failure { throw failure }
        return (batch.digest.content(mediaType: mediaType), batch.source.damaged, batch.source.contents)
    }

    /// Half a copy is kept as what it is, until the whole one takes its place.
    private func abandon(_ writer: CarriedWriter, _ failure: Failure) async {
        let reason: Recording.EndReason =
            switch failure {
            case .stop(.storage): .storageFailed
            case .stop(.cancelled): .agentStopped
            case .stop(.gone), .file: .deviceGone
            }
        do throws(StoreError) {
            try await store.seal(writer.id, reason: reason)
        } catch {
            // The next start seals what is open.
            logger.error("a cut copy can't be sealed", metadata: ["recording": "\(writer.id)", "error": "\(error)"])
        }
    }
}
