import Clinical
import Crypto
import FoundationEssentials
import Logging
import Store
import Uplink

// The bytes lane, and the receipts that alone prove that it worked.

extension SyncEngine {
    func send(_ item: OutboxItem, _ link: ServerLink) async throws(UplinkError) {
        let document = item.document
        if configuration.region.profile != .full { return try await sendWhole(item, link) }
        do {
            // After a crash or a lost answer the server may have it already: ask before sending. When it had all bytes once, only
            // its own word that it hasn't leads to another upload (`askAgain`).
            var verdict = Verdict.missing
            if item.upload != .none || item.attempts > 0 {
                verdict = try await settle(
                    item, link, isUploaded: item.isUploaded, mayBeComplete: cleared.contains(document.id))
            }
            guard verdict != .settled else { return }
            let lane = try await openLane(link)
            let begun: (location: String, confirmed: Int)? =
                if case .created(let known, let confirmed) = item.upload, verdict == .missing {
                    (known, confirmed)
                } else { nil }
            if begun == nil { try await store.beginUpload(document.id) }
            underway.begin(document.id, of: document.size)
            let furthest = begun?.confirmed ?? 0
            do throws(UplinkError) {
                try await lane.upload(
                    BytesLane.Item(
                        rid: document.id, fileExtension: Self.fileExtension(document.mediaType),
                        mediaType: document.mediaType, size: document.size, sha256: document.sha256,
                        visit: item.visit.id, location: begun?.location, mayBeLocked: mayBeLocked(document.id)),
                    BytesLane.Hooks(
                        read: { [store] in try await store.documentBytes(document.id, offset: $0, count: $1) },
                        didCreate: { [store] in try await store.uploadCreated(document.id, location: $0) },
                        didConfirm: { [store] offset in
                            try await store.uploadConfirmed(document.id, offset: offset)
                            await self.confirmed(document.id, offset, isNew: offset > furthest)
                        }))
            } catch {
                switch error {
                case .link: cuts[document.id] = now
                case .transient(404, _): cleared.insert(document.id)
                // libcurl saw the connection break, and sent the chunk once more.
                case .transient(423, let after) where after ?? .zero < .seconds(30) && !mayBeLocked(document.id):
                    cuts[document.id] = now
                default: break
                }
                throw error
            }
            cuts[document.id] = nil
            cleared.remove(document.id)
            _ = try await settle(item, link, isUploaded: true)
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    /// Our own connection broke under this upload a short while ago; a server that hasn't noticed still keeps it locked.
    private func mayBeLocked(_ id: UUID) -> Bool {
        cuts[id].map { now - $0 < Self.lockMemory } ?? false
    }

    /// Seconds that a server may hold on to a connection that is dead.
    private static let lockMemory = 120.0

    enum Verdict { case settled, missing, otherBytes }

    /// Asks for the receipt. Settled: received, set aside or to be asked for later: no more sending is needed.
    /// - Parameters:
    ///   - isUploaded: the server has all bytes: "not yet" then means that it is still checking them, and "unknown" that it hasn't begun.
    ///     Before that they may as well mean that bytes are missing, which tus tells.
    ///   - mayBeComplete: all bytes were sent, and the upload is gone: "not yet" then means that it is being checked.
    func settle(
        _ item: OutboxItem, _ link: ServerLink, isUploaded: Bool, mayBeComplete: Bool = false
    ) async throws -> Verdict {
        let document = item.document
        var answer = ReceiptWait.Answer.unknown
        // A small one is checked in no time; for a large one the others needn't wait.
        for pause in [10, 20, 40, 80, 100] {
            switch try await judge(
                try await receipt(for: document, of: item.visit, link), document, restarts: item.restarts, link)
            {
            case .done: return .settled
            case .otherBytes: return .otherBytes
            case .unknown:
                guard isUploaded else { return .missing }
                answer = .unknown
            case .notYet(let after):
                guard isUploaded || mayBeComplete else { return .missing }
                answer = .checking(after: after)
            }
            try await Task.sleep(for: .milliseconds(pause))
        }
        var wait = ReceiptWait(
            now: now, isSecond: item.restarts > 0 || rehashed.contains(document.id),
            shortest: min(1, configuration.retryMinimum),
            window: configuration.refusalWindow)
        _ = wait.heard(answer, now: now)
        unreceipted[document.id] = wait
        return .settled
    }

    /// The bytes were all there, and the receipt wasn't.
    func askAgain(_ id: UUID, _ link: ServerLink) async throws(UplinkError) {
        do {
            guard var wait = unreceipted[id], let item = try await store.outboxItem(id) else {
                unreceipted[id] = nil
                return
            }
            let document = item.document
            let answer: ReceiptWait.Answer
            switch try await judge(
                try await receipt(for: document, of: item.visit, link), document, restarts: item.restarts, link)
            {
            case .unknown: answer = .unknown
            case .notYet(let after): answer = .checking(after: after)
            // Received, set aside, or to be sent from its first byte.
            case .done, .otherBytes:
                unreceipted[id] = nil
                return
            }
            let next = wait.heard(answer, now: now)
            // An offset may have been a lie (sync.md 1.2.2): what does it say now?
            if next == .sendAgain || wait.asked == 2, let missing = try await missingBytes(item, link) {
                try await store.uploadConfirmed(id, offset: missing)
                unreceipted[id] = nil
                return
            }
            switch next {
            case .ask: unreceipted[id] = wait
            case .sendAgain:
                logger.notice("complete, and no receipt: it is sent once more", metadata: ["document": "\(id)"])
                rehashed.insert(id)
                try await sendFromStart(document, link)
                unreceipted[id] = nil
            case .setAside: try await quarantine(id, SetAsideSentence.noReceipt)
            }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    /// Where the upload would have to go on, if it isn't complete after all. One that the server has cleared away (404, 410) was.
    private func missingBytes(_ item: OutboxItem, _ link: ServerLink) async throws(UplinkError) -> Int? {
        guard configuration.region.profile == .full, case .created(let location, _) = item.upload,
            let offset = try await openLane(link).offset(at: location), (0..<item.document.size).contains(offset)
        else { return nil }
        return offset
    }

    /// What the server has is of no use: dropped where it lets us, so that the same identity begins at its first byte.
    private func sendFromStart(_ document: Document, _ link: ServerLink?) async throws {
        if configuration.region.profile == .full, let link,
            case .created(let location, _) = try await store.outboxItem(document.id)?.upload
        {
            do throws(UplinkError) {
                try await openLane(link).discard(location: location)
            } catch {
                logger.info("the upload can't be dropped", metadata: ["error": "\(error.kind)"])
            }
        }
        try await store.uploadForgotten(document.id)
    }

    enum Judgement { case done, otherBytes, unknown, notYet(after: Double?) }

    /// - Parameter link: nil where there is no server at all.
    func judge(
        _ answer: ReceiptAnswer, _ document: Document, restarts: Int, _ link: ServerLink?
    ) async throws -> Judgement {
        let other: String
        switch answer {
        case .stored(let receipt):
            if receipt.covers(rid: document.id, sha256: document.sha256, size: document.size) {
                try await SleepInhibitor.hold { try await store.record(receipt) }
                logger.notice("receipt", metadata: ["document": "\(document.id)", "bytes": "\(document.size)"])
                // Another epoch than the one that it greeted us with: it was restored meanwhile.
                if let epoch = offer.storeEpoch, receipt.storeEpoch != epoch { machine.networkChanged() }
                return .done
            }
            other = receipt.sha256
        case .pending(let after):
            return .notYet(
                after: after.map { Double($0.components.seconds) + Double($0.components.attoseconds) * 1e-18 })
        case .unknown: return .unknown
        case .otherHash(let hash): other = hash
        }
        // One clean re-upload, then a person's matter (ARCHITECTURE.md, failure table): never retried silently.
        guard restarts == 0, rehashed.insert(document.id).inserted else {
            logger.error("the server holds other bytes", metadata: ["document": "\(document.id)"])
            try await quarantine(document.id, SetAsideSentence.otherBytes(other))
            return .done
        }
        try await sendFromStart(document, link)
        return .otherBytes
    }

    /// What was set aside for want of a receipt may have one by now: the server was slow, or is mended. That is proof, whoever asks.
    func takeLateReceipts(_ link: ServerLink) async {
        // The other profiles would read each document back.
        guard configuration.region.profile == .full else { return }
        do {
            for document in try await store.setAsideWithoutReceipt(limit: 50) {
                guard let visit = try await visit(of: document),
                    case .stored(let receipt) = try await receipt(for: document, of: visit, link),
                    receipt.covers(rid: document.id, sha256: document.sha256, size: document.size)
                else { continue }
                try await store.record(receipt, isLate: true)
                logger.notice("a receipt that came late", metadata: ["document": "\(document.id)"])
            }
        } catch {
            logger.info("late receipts can't be asked for", metadata: ["error": "\(type(of: error))"])
        }
    }

    /// Under which it goes up: the binding that holds.
    private func visit(of document: Document) async throws(StoreError) -> Visit? {
        guard let binding = try await store.recording(document.recording)?.bindings.last else { return nil }
        return try await store.visit(binding.visit)
    }

    /// The server was restored from a backup: does it still have what it gave a receipt for, and what was said of it?
    func confirm(_ id: UUID, _ link: ServerLink) async throws(UplinkError) {
        do {
            guard let epoch = offer.storeEpoch,
                let document = try await store.receiptsToConfirm(epoch: epoch).first(where: { $0.id == id }),
                let visit = try await visit(of: document)
            else { return }
            switch try await receipt(for: document, of: visit, link) {
            case .stored(var receipt) where receipt.covers(rid: id, sha256: document.sha256, size: document.size):
                // Asked in this epoch: a receipt out of the backup, that names an older one, would be asked for without end.
                receipt.storeEpoch = epoch
                try await store.record(receipt)
                if try await !FactsLane(link, offer: offer).knows(id) { try await store.factsLost(id) }
            case .pending(let after): throw UplinkError.transient(status: 202, retryAfter: after ?? .seconds(1))
            case .stored, .unknown, .otherHash:
                logger.notice("the server lost it: it is sent again", metadata: ["document": "\(id)"])
                try await store.receiptLost(id, by: "server")
            }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    private func openLane(_ link: ServerLink) async throws(UplinkError) -> BytesLane {
        if let lane { return lane }
        let lane = try await BytesLane.open(
            link, offer: offer, sendRate: sendRate, memory: pace,
            digest: { algorithm, bytes in
                switch algorithm {
                case .sha256: Array(SHA256.hash(data: bytes))
                case .sha1: Array(Insecure.SHA1.hash(data: bytes))
                }
            })
        self.lane = lane
        return lane
    }

    private func confirmed(_ document: UUID, _ offset: Int, isNew: Bool) {
        if isNew { machine.progressed(document) }
        guard let new = underway.reached(offset, of: document) else { return }
        rate.note(new, at: now)
        spend(new)
    }

    static func fileExtension(_ mediaType: String) -> String {
        switch mediaType {
        case "application/dicom": "dcm"
        case "application/edf": "edf"
        default: "bin"
        }
    }
}

/// Bytes per second as the server confirms them, over the last half minute.
struct SendingRate: Sendable {
    static let window = 30.0
    private var notes: [(at: Double, bytes: Int)] = []

    mutating func note(_ bytes: Int, at now: Double) {
        notes.append((now, max(0, bytes)))
        notes.removeAll { now - $0.at > Self.window }
    }

    /// Nil when there is nothing to tell it from.
    func bytesPerSecond(at now: Double) -> Double? {
        let recent = notes.filter { now - $0.at <= Self.window }
        guard recent.count > 1, let first = recent.first, let last = recent.last, last.at > first.at else { return nil }
        // The first note's bytes were sent before it.
        return Double(recent.dropFirst().reduce(0) { $0 + $1.bytes }) / (last.at - first.at)
    }
}
