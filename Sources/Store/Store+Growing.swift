internal import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

/// A recording that is being made, as far as its next chunk depends on it.
struct Growing: Sendable {
    let uuid: String
    let key: SymmetricKey
    let channels: [Channel]
    var chunks: Int
    var bytes: Int
    /// Samples of each channel.
    var counts: [Int]

    /// A row of `chunk`, coded and sealed.
    struct Chunk: Sendable {
        var n: Int
        /// Samples of each channel before it.
        var first: [Int]
        var arrived: Int64
        var raw: Data
        var decoded: Data
        /// Before its first sample, and where that is, seconds.
        var gap: (text: String, position: Double)?
    }

    /// - Parameter coded: the samples of a single block, where they were coded before.
    /// - Throws: `.refused` for another number of channels.
    mutating func seal(
        _ blocks: [Block], _ coding: PayloadCoding, coded: [UInt8]? = nil
    ) throws(StoreError) -> [Chunk] {
        guard blocks.allSatisfy({ $0.samples.count == counts.count }) else {
            throw .refused("a block has another number of channels than its recording")
        }
        var sealed: [Chunk] = []
        for block in Self.merged(blocks) {
            let position = zip(counts, channels).map { Double($0) / $1.rate.value }.max() ?? 0
            sealed.append(
                Chunk(
                    n: chunks, first: counts, arrived: Int64(bitPattern: block.at),
                    raw: try key.seal(packing: block.raw, coding, at: "\(uuid)|chunk.raw|\(chunks)"),
                    decoded: try key.seal(
                        coded ?? coding.encode(block.samples, of: channels), at: "\(uuid)|chunk.decoded|\(chunks)"),
                    gap: block.gap.map { ($0, position) }))
            counts = zip(counts, block.samples).map { $0 + $1.count }
            bytes += block.raw.count
            chunks += 1
        }
        return sealed
    }

    /// Blocks without a gap between them, up to the size of a row.
    private static func merged(_ blocks: [Block]) -> [Block] {
        var chunks: [Block] = []
        for block in blocks {
            guard block.gap == nil, let last = chunks.last, last.raw.count + block.raw.count <= chunkLimit else {
                chunks.append(block)
                continue
            }
            let end = chunks.count - 1
            for channel in block.samples.indices { chunks[end].samples[channel] += block.samples[channel] }
            chunks[end].raw += block.raw
            chunks[end].at = block.at
        }
        return chunks
    }
}

/// Bytes of payload in one row, about.
let chunkLimit = 1 << 20

/// The recordings that grow, kept in memory: reading one back each second costs more than sealing what was added. Nothing rests on
/// it: the row is only changed where it is what is remembered here.
struct GrowingRecordings {
    /// More than any number of devices that record at once.
    private static let most = 32
    private var known: [String: Growing] = [:]

    subscript(uuid: String) -> Growing? {
        get { known[uuid] }
        set {
            if newValue != nil, known.count >= Self.most { known = [:] }
            known[uuid] = newValue
        }
    }
}

extension Transaction {
    /// - Throws: `.refused` when it is sealed.
    func growing(_ uuid: String) throws -> Growing {
        let row = try recordingRow(uuid)
        guard try row["state"] as String == "open" else { throw StoreError.refused("recording \(uuid) is sealed") }
        let growing = Growing(
            uuid: uuid, key: try dataKey(row), channels: try JSON.decode([Channel].self, row["channels"] as String),
            chunks: try row["chunks"], bytes: try row["bytes"],
            counts: try JSON.decode([Int].self, row["counts"] as String))
        guard (0..<1 << 40).contains(growing.chunks), (0..<1 << 48).contains(growing.bytes),
            growing.counts.count == growing.channels.count,
            growing.counts.allSatisfy({ (0..<1 << 40).contains($0) })
        else { throw StoreError.corrupt("the counts of \(uuid)") }
        return growing
    }

    func append(_ blocks: [Block], to growing: inout Growing, coded: [UInt8]? = nil) throws {
        let before = growing
        let chunks = try growing.seal(blocks, environment.coding, coded: coded)
        guard try add(chunks, from: before, to: growing) else {
            throw StoreError.corrupt("the counts of \(growing.uuid)")
        }
    }

    /// - Returns: false, and nothing is changed, when the recording isn't as it was before.
    func add(_ chunks: [Growing.Chunk], from before: Growing, to after: Growing) throws -> Bool {
        try db.cachedStatement(
            sql: """
                UPDATE recording SET chunks = ?, bytes = ?, counts = ?
                WHERE uuid = ? AND chunks = ? AND bytes = ? AND state = 'open'
                """
        ).execute(
            arguments: [after.chunks, after.bytes, Self.text(after.counts), after.uuid, before.chunks, before.bytes])
        guard db.changesCount == 1 else { return false }
        for chunk in chunks {
            if let (text, position) = chunk.gap {
                try add(Note(kind: .gap, at: position, text: text), after.uuid, key: after.key)
            }
            try db.cachedStatement(
                sql: """
                    INSERT INTO chunk (recording, n, first, arrived, created, decoder, raw, decoded)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    after.uuid, chunk.n, Self.text(chunk.first), chunk.arrived, now, environment.decoder, chunk.raw,
                    chunk.decoded,
                ])
        }
        return true
    }

    /// As `JSON.text` writes it.
    private static func text(_ counts: [Int]) -> String { "[\(counts.map(String.init).joined(separator: ","))]" }
}
