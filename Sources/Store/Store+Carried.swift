public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB

/// A file that is being written, part by part: hashing and sealing happen where this is, not in the store's one writer.
public struct CarriedWriter: Sendable {
    public let id: RecordingID
    public let attribution: Attribution
    fileprivate let key: SymmetricKey
    fileprivate let coding: PayloadCoding
    fileprivate let source: String?

    /// A part, sealed.
    public struct Part: Sendable {
        fileprivate var n: Int
        fileprivate var count: Int
        fileprivate var raw: Data
        fileprivate var decoded: Data
    }

    /// Every part but the last holds exactly this many bytes.
    public static let partSize = documentPartSize

    /// Blocks for as long as packing and sealing take; any thread.
    /// - Parameter n: counts from 0.
    public func seal(_ bytes: [UInt8], n: Int) throws(StoreError) -> Part {
        Part(
            n: n, count: bytes.count, raw: try key.seal(packing: bytes, coding, at: "\(id)|chunk.raw|\(n)"),
            decoded: try key.seal(coding.encode([], of: []), at: "\(id)|chunk.decoded|\(n)"))
    }
}

/// What a carried file is, once all of it is here.
public struct CarriedContent: Sendable, Equatable {
    public var mediaType: String
    /// Bytes.
    public var size: Int
    /// Lower-case hexadecimal.
    public var sha256: String
    /// Base64.
    public var sha1: String

    public init(mediaType: String, size: Int, sha256: String, sha1: String) {
        self.mediaType = mediaType
        self.size = size
        self.sha256 = sha256
        self.sha1 = sha1
    }
}

extension Store {
    /// The recording that holds a file of a medium, if it was read before.
    public func recording(ofMark mark: String) async throws(StoreError) -> RecordingID? {
        try await read { tx in
            try String.fetchOne(tx.db, sql: "SELECT recording FROM medium_file WHERE mark = ?", arguments: [mark])
                .map(tx.recordingID)
        }
    }

    /// Whether any file of a medium has a mark that begins so.
    public func hasMark(beginning: String) async throws(StoreError) -> Bool {
        try await read { tx in
            try Bool.fetchOne(
                tx.db, sql: "SELECT EXISTS (SELECT 1 FROM medium_file WHERE mark >= ? AND mark < ?)",
                arguments: [beginning, beginning + "\u{10FFFF}"]) ?? false
        }
    }

    /// The complete recording of a source, which is remembered as the holder of a file that has come again in another place or
    /// under another date.
    public func recording(
        ofSource source: String, by person: String, mark: String
    ) async throws(StoreError) -> RecordingID? {
        guard try await knowsSource(source) else { return nil }
        return try await write { tx in
            guard let known = try tx.completeRecording(of: source) else { return nil }
            try tx.audit(by: person, "recording.known-source", known)
            try tx.mark(mark, known)
            return try tx.recordingID(known)
        }
    }

    /// Remembers that a file of a medium is here.
    public func mark(_ mark: String, heldBy id: RecordingID) async throws(StoreError) {
        try await write { tx in try tx.mark(mark, id.description) }
    }

    /// Whether a carried file of that many bytes is here: if not, no file of that size can be a duplicate.
    public func hasCarried(size: Int) async throws(StoreError) -> Bool {
        try await read { tx in
            try Bool.fetchOne(
                tx.db, sql: "SELECT EXISTS (SELECT 1 FROM carried WHERE size = ?)", arguments: [size]) ?? false
        }
    }

    /// The complete recording that holds these very bytes.
    public func carried(sha256: String) async throws(StoreError) -> RecordingID? {
        try await read { tx in
            try String.fetchOne(
                tx.db,
                sql: """
                    SELECT recording FROM carried JOIN recording ON uuid = recording
                    WHERE sha256 = ? AND state = 'complete' AND superseded_by IS NULL
                    """, arguments: [sha256]
            ).map(tx.recordingID)
        }
    }

    /// Begins a file that is carried as it is. An interrupted copy of the same source is replaced when this one is whole.
    /// - Parameters:
    ///   - recording: without channels.
    ///   - size: what will come, so that a disk that has no room for it is known before the first byte.
    ///   - company: whether some of it, or something else on its medium, is not the open visit's, or may not be.
    ///   - made: when its device wrote it, as far as loans are asked.
    ///   - marks: by which it is found also while it isn't whole.
    public func beginCarried(
        _ recording: Recording, mediaType: String, study: StudyObject?, size: Int, notes: [Note], binding: Binding?,
        company: Company = .alone, made: MadeWhen = .asItsClockSays, marks: [String] = []
    ) async throws(StoreError) -> CarriedWriter {
        try await write { tx in
            guard recording.channels.isEmpty else { throw StoreError.refused("a carried file has no channels") }
            try tx.requireSpace(.refuseStart, for: Int64(size))
            let attribution = try tx.begin(recording, binding, company, made: made)
            let uuid = recording.id.description
            for mark in marks { try tx.mark(mark, uuid, keepsBound: true) }
            let key = try tx.dataKey(try tx.recordingRow(uuid))
            try tx.db.execute(
                sql: "INSERT INTO carried (recording, media_type, sealed) VALUES (?, ?, ?)",
                arguments: [uuid, mediaType, try key.seal(json: study ?? StudyObject(), at: "\(uuid)|carried")])
            for note in notes { try tx.add(note, uuid, key: key) }
            return CarriedWriter(
                id: recording.id, attribution: attribution, key: key, coding: tx.environment.coding,
                source: recording.source)
        }
    }

    /// Adds parts in order, in one transaction; on the disk when it returns.
    /// - Throws: `.refused` when one is missing before them; `.diskLow`, `.diskFull`: then seal with `.storageFailed`.
    public func append(_ parts: [CarriedWriter.Part], to writer: CarriedWriter) async throws(StoreError) {
        try await write { tx in
            try tx.requireSpace(.stopRunning, for: Int64(parts.reduce(0) { $0 + $1.count }))
            let uuid = writer.id.description
            let row = try tx.recordingRow(uuid)
            guard try row["state"] as String == "open" else { throw StoreError.refused("recording \(uuid) is sealed") }
            var next: Int = try row["chunks"]
            for part in parts {
                guard part.n == next else { throw StoreError.refused("part \(next) of \(uuid) is missing") }
                next += 1
                try tx.db.execute(
                    sql: """
                        INSERT INTO chunk (recording, n, first, arrived, created, decoder, raw, decoded)
                        VALUES (?, ?, '[]', 0, ?, ?, ?, ?)
                        """, arguments: [uuid, part.n, tx.now, tx.environment.decoder, part.raw, part.decoded])
            }
            try tx.db.execute(
                sql: "UPDATE recording SET chunks = ?, bytes = bytes + ? WHERE uuid = ?",
                arguments: [next, parts.reduce(0) { $0 + $1.count }, uuid])
        }
    }

    /// All of it is here: seals the recording as complete, and remembers the medium's files that are in it.
    public func finish(
        _ writer: CarriedWriter, _ content: CarriedContent, marks: [String], notes: [Note] = []
    ) async throws(StoreError) {
        try await write { tx in
            let uuid = writer.id.description
            guard try tx.recordingRow(uuid)["bytes"] as Int == content.size else {
                throw StoreError.refused("recording \(uuid) isn't all of the file")
            }
            for note in notes { try tx.add(note, uuid, key: writer.key) }
            try tx.db.execute(
                sql: "UPDATE carried SET size = ?, sha256 = ?, sha1 = ? WHERE recording = ?",
                arguments: [content.size, content.sha256, content.sha1, uuid])
            try tx.seal(uuid, reason: .finished, at: tx.now)
            try tx.supersedeHalves(of: uuid)
            for mark in marks { try tx.mark(mark, uuid) }
        }
    }

    /// What a carried file is; computed anew where the copy was cut. Nil for a recording that is no carried file.
    public func carriedContent(_ id: RecordingID) async throws(StoreError) -> CarriedContent? {
        try await read { tx in
            let uuid = id.description
            guard
                let row = try Row.fetchOne(tx.db, sql: "SELECT * FROM carried WHERE recording = ?", arguments: [uuid])
            else { return nil }
            let mediaType: String = try row["media_type"]
            if let sha256 = try row["sha256"] as String?, let sha1 = try row["sha1"] as String?,
                let size = try row["size"] as Int?
            {
                return CarriedContent(mediaType: mediaType, size: size, sha256: sha256, sha1: sha1)
            }
            var digest = CarriedDigest()
            try tx.forEachChunk(try tx.recordingRow(uuid), column: "raw") { digest.add($0) }
            return digest.content(mediaType: mediaType)
        }
    }

    /// What a carried file says of its examination; nil for other recordings, and after purging.
    public func study(of id: RecordingID) async throws(StoreError) -> StudyObject? {
        try await read { tx in
            let uuid = id.description
            guard
                let sealed = try Data.fetchOne(
                    tx.db, sql: "SELECT sealed FROM carried WHERE recording = ?", arguments: [uuid]),
                let key = try tx.keptKey(try tx.recordingRow(uuid))
            else { return nil }
            return try key.open(json: StudyObject.self, sealed, at: "\(uuid)|carried")
        }
    }

    /// Makes the document of a carried file: its bytes are the recording's own, and are not copied.
    /// - Throws: as `freeze`.
    public func freezeCarried(
        _ id: RecordingID, _ content: CarriedContent, boundTo visit: String, revision: Int
    ) async throws(StoreError) {
        try await write { tx in
            let (row, _) = try tx.requireFreezable(id.description, boundTo: visit, revision: revision)
            guard try row["bytes"] as Int == content.size, content.size > 0 else {
                throw StoreError.refused("recording \(id) isn't what it was")
            }
            let document = Document(
                id: DocumentHasher.identity(of: .original, in: id), recording: id, role: .original,
                mediaType: content.mediaType, size: content.size, sha256: content.sha256, sha1: content.sha1)
            try tx.insert(document, isCarried: true)
            try tx.announce(document, row)
            try tx.db.execute(sql: "UPDATE recording SET is_frozen = 1 WHERE uuid = ?", arguments: [id.description])
            try tx.audit(by: "agent", "recording.freeze", id.description, "original \(document.sha256)")
        }
    }
}

extension Transaction {
    /// Cut copies of the same object that came from elsewhere, or from a stick whose times changed: their sources differ.
    fileprivate func supersedeHalves(of uuid: String) throws {
        let halves = try String.fetchAll(
            db,
            sql: """
                SELECT r.uuid FROM recording r JOIN carried c ON c.recording = r.uuid
                WHERE r.object = (SELECT object FROM recording WHERE uuid = ?) AND r.uuid <> ?
                AND r.state = 'interrupted' AND r.superseded_by IS NULL AND c.sha256 IS NULL
                """, arguments: [uuid, uuid])
        for half in halves where try !wasTried(half) { try supersede(half, by: uuid) }
    }

    /// - Parameter keepsBound: the first one whose it was said stays the holder: a later copy of it may have been cut as well.
    fileprivate func mark(_ mark: String, _ uuid: String, keepsBound: Bool = false) throws {
        try db.execute(
            sql: """
                INSERT INTO medium_file (mark, recording, at) VALUES (?, ?, ?)
                ON CONFLICT (mark) DO UPDATE SET recording = excluded.recording, at = excluded.at
                WHERE NOT ? OR (SELECT visit FROM recording WHERE uuid = medium_file.recording) IS NULL
                """, arguments: [mark, uuid, now, keepsBound])
    }
}

/// Size and both hashes of bytes that come one part after the other.
public struct CarriedDigest: Sendable {
    private var sha256 = SHA256()
    private var sha1 = Insecure.SHA1()
    public private(set) var size = 0

    public init() {}

    public mutating func add(_ bytes: [UInt8]) {
        sha256.update(data: bytes)
        sha1.update(data: bytes)
        size += bytes.count
    }

    public func content(mediaType: String) -> CarriedContent {
        CarriedContent(
            mediaType: mediaType, size: size, sha256: DocumentHasher.hex(sha256.finalize()),
            sha1: Data(sha1.finalize()).base64EncodedString())
    }
}
