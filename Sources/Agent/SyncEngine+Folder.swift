import Clinical
import Crypto
import FHIR
import FoundationEssentials
import Glibc
import Logging
import Store
import Uplink

// A region with nothing (`profile = drop`): the same documents, facts and receipts, as sealed files through a folder.

extension SyncEngine {
    func runFolder() async {
        do throws(ConfigurationError) {
            folder = try ExchangeFolder(configuration.region)
        } catch {
            folderState = SyncSentence.folderBroken
            logger.error("nothing will be sent", metadata: ["reason": "\(error)"])
            return await untilCancelled()
        }
        while !Task.isCancelled {
            do {
                try await exchange()
                folderState = nil
            } catch ExchangeFolder.Failure.missing {
                folderState = SyncSentence.folderMissing
            } catch {
                folderState = SyncSentence.folderBroken
                logger.error("the exchange folder", metadata: ["error": "\(Self.kind(error))"])
            }
            underway.clear()
            await bell.wait(atMost: .seconds(min(configuration.worklistInterval, configuration.retryMaximum)))
        }
    }

    /// Without a path: a key's label may be a person's name.
    private static func kind(_ error: any Error) -> String {
        switch error {
        case let failure as ExchangeFolder.Failure: "\(failure)"
        case let failure as UplinkError: failure.kind
        default: "\(type(of: error))"
        }
    }

    private func exchange() async throws {
        guard let folder else { return }
        isSettled = false
        try await folder.prepare()
        try await folder.publish("\(try await laptopRecipient())\n", as: "laptop.age-recipient")
        try await takeReceipts(folder)
        try await takeBundles(folder)
        // One that can't be read keeps nobody else here; it is told when the others are in the folder.
        var trouble: (any Error)?
        var skipped: Set<String> = []
        while let pending = try await pendingFacts().first(where: { !skipped.contains("\($0.visit.id) \($0.state)") }),
            !Task.isCancelled
        {
            do {
                try await put(pending, folder)
            } catch let failure as ExchangeFolder.Failure {
                throw failure
            } catch {
                skipped.insert("\(pending.visit.id) \(pending.state)")
                trouble = error
            }
        }
        while let pending = try await store.entriesPending().first, !Task.isCancelled {
            try await put(try await facts(pending), folder)
            try await store.entriesSent(pending.entries)
        }
        for question in try await store.unsentReplies() where !Task.isCancelled { try await put(question, folder) }
        for item in try await store.outbox(
            now: clock.wall, limit: .max, includingSimulated: configuration.isTestServer)
        where !Task.isCancelled {
            do {
                try await put(item, folder)
            } catch let failure as ExchangeFolder.Failure {
                throw failure
            } catch {
                underway.end(item.document.id)
                // Built again it goes with the next look; else it is set aside. Otherwise it is no damage of its own.
                guard (try? await mend(item.document)) == true else {
                    trouble = error
                    continue
                }
                bell.ring()
            }
        }
        if let trouble { throw trouble }
        lastContact = clock.wall
        isSettled = true
    }

    // MARK: Out

    private func put(_ pending: PendingFacts, _ folder: ExchangeFolder) async throws {
        let facts = try await visitFacts(pending)
        let documents = pending.documents.map(\.id)
        try await store.beginFacts(documents, state: pending.state, key: facts.batch)
        try await put(facts, folder)
        try await store.markFactsSent(documents, state: pending.state)
    }

    /// The nurse's answer to a question, as the facts go: a transaction, here of one Communication.
    private func put(_ question: Answer, _ folder: ExchangeFolder) async throws {
        guard let reply = question.reply, !reply.isSent else { return }
        let id = Identity.of("reply", question.id)
        let communication = AnswersLane.communication(reply, to: question, id: id, team: configuration.team)
        let local = "Communication/\(id.uuidString.lowercased())"
        let bundle = Bundle(
            type: "transaction",
            entry: [
                Bundle.Entry(
                    fullUrl: "urn:ess:fhir/\(local)", resource: .communication(communication),
                    request: Bundle.Request(method: "PUT", url: local))
            ])
        let bytes = try FHIRCodec.encode(bundle)
        try await folder.write("\(id.uuidString.lowercased()).facts.json.age", size: bytes.count) {
            Array(bytes[$0..<$0 + $1])
        }
        try await store.replySent(to: question.id)
    }

    private func put(_ facts: VisitFacts, _ folder: ExchangeFolder) async throws {
        let bundle = try facts.bundle(base: "urn:ess:fhir", recordings: "urn:ess:recordings")
        let bytes = try FHIRCodec.encode(bundle)
        try await folder.write("\(facts.batch.uuidString.lowercased()).facts.json.age", size: bytes.count) {
            Array(bytes[$0..<$0 + $1])
        }
    }

    /// Whoever took a file and never said so may have lost it: it is written again.
    private static let patience: Int64 = 14 * 86_400_000

    private func put(_ item: OutboxItem, _ folder: ExchangeFolder) async throws {
        let document = item.document
        let id = document.id.uuidString.lowercased()
        let name = "\(id).\(Self.fileExtension(document.mediaType)).age"
        if case .created(let location, let confirmed) = item.upload, confirmed == document.size {
            let since = location.split(separator: ":").last.flatMap { Int64($0) } ?? 0
            if clock.wall - since < Self.patience { return }
            if await folder.has(name) { return }
        }
        try await store.beginUpload(document.id)
        underway.begin(document.id, of: document.size)
        try await folder.write(name, size: document.size) { [store] in
            try await store.documentBytes(document.id, offset: $0, count: $1)
        }
        try await store.uploadCreated(document.id, location: "folder:\(clock.wall)")
        try await store.uploadConfirmed(document.id, offset: document.size)
        underway.end(document.id)
    }

    // MARK: In

    private func takeReceipts(_ folder: ExchangeFolder) async throws {
        let (lists, unusable) = await folder.arrived(".sha256")
        for (name, why) in unusable {
            logger.warning("a list can't be read", metadata: ["list": "\(name)", "why": "\(why)"])
        }
        for list in lists {
            let receipts: [UUID: String]
            do throws(ExchangeFolder.Failure) {
                receipts = try await folder.receipts(in: list)
            } catch {
                // It stays there for a person to look at; nothing is believed of it.
                logger.error("a list of receipts is not signed by the region", metadata: ["why": "\(error)"])
                continue
            }
            for (id, hash) in receipts {
                guard let item = try await store.outboxItem(id) else { continue }
                let isRight = hash == item.document.sha256
                let receipt = Receipt(
                    rid: id, sha256: hash, size: isRight ? item.document.size : 0,
                    storedAt: rfc3339(unixMilliseconds: clock.wall), durability: "folder", storeEpoch: "")
                _ = try await judge(.stored(receipt), item.document, restarts: item.restarts, nil)
            }
            try await folder.finished(list.name)
        }
    }

    private func takeBundles(_ folder: ExchangeFolder) async throws {
        let (files, unusable) = await folder.arrived(".json.age")
        for (name, why) in unusable {
            logger.warning("a file can't be read", metadata: ["file": "\(name)", "why": "\(why)"])
        }
        let identity = try await laptopIdentity()
        for file in files {
            guard let plain = try? AgeFile.open(file.bytes, with: identity),
                let bundle = try? FHIRCodec.decode(Bundle.self, from: plain)
            else {
                logger.error("a bundle is not for this laptop, or damaged", metadata: ["file": "\(file.name)"])
                continue
            }
            let worklist = Worklist(bundle)
            try await store.merge(visits: worklist.visits, isWhole: false)
            try await store.merge(answers: AnswersLane.answers(in: bundle, for: try await store.visits()))
            try await folder.finished(file.name)
        }
    }

    // MARK: Keys

    /// Made here at the first use, readable for the agent alone: what is sealed for this laptop is opened with it.
    private func laptopIdentity() async throws -> Curve25519.KeyAgreement.PrivateKey {
        let path = "\(configuration.stateDirectory)/exchange-identity.txt"
        let text = try await Blocking.run { () throws(ExchangeFolder.Failure) in
            if let known = try? String(contentsOfFile: path, encoding: .utf8) { return known }
            let made = AgeFile.text(Curve25519.KeyAgreement.PrivateKey()) + "\n"
            let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw .system("open", errno) }
            defer { close(file) }
            let bytes = Array(made.utf8)
            guard unsafe write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0 else {
                throw .system("write", errno)
            }
            return made
        }
        return try AgeFile.identity(text)
    }

    private func laptopRecipient() async throws -> String { AgeFile.text(try await laptopIdentity().publicKey) }

    func folderView(_ view: SyncView) -> SyncView {
        var view = view
        view.state = folderState == nil ? "online" : "offline"
        view.problem = folderState.map { $0 == SyncSentence.folderMissing ? "folder-missing" : "configuration" }
        view.sentence = folderState ?? SyncSentence.folderReady
        if let item = underway.first {
            view.state = "sending"
            view.sentence = SyncSentence.sending
            view.document = "\(item.document)".lowercased()
            view.sentBytes = item.sent
            view.totalBytes = item.total
        }
        return view
    }
}
