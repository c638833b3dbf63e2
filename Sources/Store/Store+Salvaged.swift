public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB

/// What can still be read of a recording of which the disk lost something.
public struct Salvaged: Sendable, Equatable {
    /// Everything in its place; samples without value where chunks are damaged.
    public var waveform: Waveform
    /// The readable bytes, in order, without those of damaged chunks.
    public var original: [UInt8]
    /// One for each damaged stretch, with its time, and one for lost bytes.
    public var damage: [Note]
}

extension Store {
    /// A damaged chunk costs only itself: it becomes a gap, and the rest is delivered. For recordings of which `waveform` or
    /// `original` throws `.corrupt`; of an intact one, the same as they give.
    public func salvaged(_ id: RecordingID) async throws(StoreError) -> Salvaged {
        try await read { tx in try tx.salvaged(id.description) }
    }
}

extension Transaction {
    fileprivate func salvaged(_ uuid: String) throws -> Salvaged {
        let row = try recordingRow(uuid)
        let key = try dataKey(row)
        let channels = try JSON.decode([Channel].self, row["channels"] as String)
        let totals = try JSON.decode([Int].self, row["counts"] as String)
        // Not vouched for: what can't be a day of anything is not made room for.
        guard totals.count == channels.count, totals.allSatisfy({ (0...1 << 27).contains($0) }) else {
            throw StoreError.corrupt("the counts of \(uuid)")
        }
        var samples = [[Sample]](repeating: [], count: channels.count)
        var original: [UInt8] = []
        var damage: [Note] = []

        func position() -> Double { zip(channels, samples).map { Double($1.count) / $0.rate.value }.max() ?? 0 }
        /// Fills up to where the next readable chunk begins, or to the end.
        func fill(to counts: [Int]) {
            let start = position()
            var isFilled = false
            for (index, count) in counts.enumerated() where count > samples[index].count && count <= totals[index] {
                samples[index] += repeatElement(.absent, count: count - samples[index].count)
                isFilled = true
            }
            guard isFilled else { return }
            damage.append(
                Note(kind: .gap, at: start, duration: position() - start, text: "damaged on this laptop's disk"))
        }

        let chunks = try Row.fetchCursor(
            db, sql: "SELECT n, first, raw, decoded FROM chunk WHERE recording = ? ORDER BY n", arguments: [uuid])
        while let chunk = try chunks.next() {
            let n: Int = try chunk["n"]
            if let raw = try? key.open(packed: chunk["raw"], environment.coding, at: "\(uuid)|chunk.raw|\(n)") {
                original += raw
            }
            guard let opened = try? key.open(chunk["decoded"], at: "\(uuid)|chunk.decoded|\(n)"),
                let decoded = try? environment.coding.decode([UInt8](opened), of: channels),
                let first = try? JSON.decode([Int].self, chunk["first"] as String), first.count == channels.count
            else { continue }
            fill(to: first)
            for (index, more) in decoded.enumerated() { samples[index] += more }
        }
        fill(to: totals)
        let lost = try max(0, row["bytes"] as Int) - original.count
        if lost > 0 {
            damage.append(
                Note(
                    kind: .gap,
                    text: "\(lost) bytes of the original were damaged on this laptop's disk and are left out"))
        }
        return Salvaged(
            waveform: Waveform(channels: channels, samples: samples), original: original, damage: damage)
    }
}
