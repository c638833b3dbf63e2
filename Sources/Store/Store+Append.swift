public import Clinical
internal import GRDB
internal import Synchronization

/// What waits for the writer. Whatever comes while a transaction is on its way to the disk shares the next one: eight devices wait for
/// as many syncs as one.
struct WaitingAppends {
    struct Append: Sendable {
        var uuid: String
        var blocks: [Block]
        /// The recording as it was remembered, and as it is with these chunks; nil when its row must be read.
        var known: (before: Growing, after: Growing, chunks: [Growing.Chunk])?
        var continuation: CheckedContinuation<Result<Growing, StoreError>, Never>
    }

    private var waiting: [Append] = []

    /// - Returns: whether somebody has to be sent for all of them.
    mutating func add(_ append: Append) -> Bool {
        waiting.append(append)
        return waiting.count == 1
    }

    var count: Int { waiting.count }

    mutating func take() -> [Append] {
        defer { waiting = [] }
        return waiting
    }
}

extension Store {
    /// Adds samples; they are on the disk when it returns, all of them or none. Blocks are merged into chunks; a block's
    /// `gap` becomes a note at the moment of its first sample (callers need not add one).
    /// - Throws: `.refused` when the recording is sealed or a block has another number of channels; `.diskLow` when the
    ///   last reserve is reached, `.diskFull` when SQLite says so: then seal with `.storageFailed`.
    public func append(_ id: RecordingID, blocks: [Block]) async throws(StoreError) {
        let uuid = id.description
        // Taken out: of two that append to one recording at once, the second reads its row.
        let before = growing.withLock { growing in
            defer { growing[uuid] = nil }
            return growing[uuid]
        }
        // Coded and sealed here, each device by itself: the one writer is only kept for what has to be done in order.
        let known = try before.map { before throws(StoreError) in
            var after = before
            let chunks = try after.seal(blocks, environment.coding)
            return (before, after, chunks)
        }
        let result = await withCheckedContinuation { continuation in
            let append = WaitingAppends.Append(uuid: uuid, blocks: blocks, known: known, continuation: continuation)
            guard appends.withLock({ $0.add(append) }) else { return }
            pool.asyncWriteWithoutTransaction { [self] db in carryOut(appends.withLock { $0.take() }, db) }
        }
        let grown = try result.get()
        growing.withLock { $0[uuid] = grown }
    }

    /// In one transaction; one of them that is refused is nobody else's matter.
    private func carryOut(_ group: [WaitingAppends.Append], _ db: Database) {
        var results: [Result<Growing, StoreError>] = []
        var isCommitting = false
        do {
            try db.inTransaction {
                let tx = transaction(db)
                for append in group { results.append(try carryOut(append, tx, isAlone: group.count == 1)) }
                isCommitting = true
                return .commit
            }
        } catch {
            let error = StoreError(error)
            // Rolled back for certain: together they may be too much for a disk that has room for some of them. What a failing sync has
            // left behind is not certain, and what may be there is not written again.
            if group.count > 1, !isCommitting || error == .diskFull {
                for append in group { carryOut([append], db) }
                return
            }
            results = group.map { _ in .failure(error) }
        }
        for (append, result) in zip(group, results) { append.continuation.resume(returning: result) }
    }

    /// - Throws: what ends the whole transaction.
    private func carryOut(
        _ append: WaitingAppends.Append, _ tx: Transaction, isAlone: Bool
    ) throws -> Result<Growing, StoreError> {
        guard !isAlone else { return .success(try tx.carryOut(append)) }
        var result: Result<Growing, StoreError>?
        do {
            try tx.db.inSavepoint {
                result = .success(try tx.carryOut(append))
                return .commit
            }
        } catch {
            let error = StoreError(error)
            guard tx.db.isInsideTransaction, error != .diskFull else { throw error }
            result = .failure(error)
        }
        return result ?? .failure(.system("a transaction without an end"))
    }
}

extension Transaction {
    fileprivate func carryOut(_ append: WaitingAppends.Append) throws -> Growing {
        try requireSpace(.stopRunning)
        if let (before, after, chunks) = append.known, try add(chunks, from: before, to: after) { return after }
        var growing = try growing(append.uuid)
        try self.append(append.blocks, to: &growing)
        return growing
    }
}
