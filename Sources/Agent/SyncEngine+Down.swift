import Clinical
import FHIR
import FoundationEssentials
import Logging
import Store
import Uplink

// What comes down: visits, and what the centre answers; and how far a visit is, told back.

extension SyncEngine {
    func pullWorklist(_ link: ServerLink) async throws(UplinkError) {
        let key = "worklist-cursor"
        do {
            try await discover(link)
            await renewCertificate(link)
            // A whole look from time to time finds what the server's clock or a missed page hid.
            let cursor = pulls % 20 == 0 ? nil : try await store.value(forKey: key).flatMap { Instant($0) }
            pulls += 1
            let worklist = try await WorklistLane(link, offer: offer, team: configuration.team).pull(since: cursor)
            for problem in worklist.problems {
                logger.warning("a task of the worklist makes no visit", metadata: ["resource": "\(problem.resource)"])
            }
            // Only what names every visit says that one has left.
            let isWhole =
                cursor == nil && worklist.failure == nil && !worklist.problems.contains(where: \.hidesVisit)
            let changes = try await store.merge(
                visits: worklist.visits, isWhole: isWhole, areCurrent: true,
                unreadable: Set(worklist.problems.compactMap(\.visit)))
            if worklist.failure == nil, let cursor = worklist.cursor {
                try await store.setValue("\(cursor)", forKey: key)
            }
            if isWhole { try await forgetWhatLeft() }
            if !changes.isEmpty {
                logger.info("worklist changed", metadata: ["visits": "\(changes.count)"])
                machine.wantAnswers()
            }
            if let failure = worklist.failure { throw failure }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    /// Identities of visits that left the worklist, unless something of theirs is unsent (sync.md 4.6).
    private func forgetWhatLeft() async throws {
        let visits = try await store.purgeIdentities(now: clock.wall, by: "agent")
        let answers = try await store.purgeAnswers(now: clock.wall)
        if !visits.isEmpty || answers > 0 {
            logger.notice(
                "forgot what left the worklist", metadata: ["visits": "\(visits.count)", "answers": "\(answers)"])
        }
    }

    func pullAnswers(_ link: ServerLink) async throws(UplinkError) {
        let key = "answers-cursor"
        do {
            let visits = try await store.visits()
            let orders = DocumentHasher.fingerprint(
                visits.map { Array("\($0.id) \($0.order ?? "") \($0.patient.id)".utf8) })
            // The cursor is of the very same visits; another visit's answers may be older than it.
            let kept = try await store.value(forKey: key)?.split(separator: " ").map(String.init) ?? []
            let cursor = kept.count == 2 && kept[0] == orders && pulls % 20 != 1 ? Instant(kept[1]) : nil
            let found = try await AnswersLane(link, offer: offer, team: configuration.team).pull(
                for: visits, since: cursor, searches: Set(AnswersLane.Search.allCases).subtracting(unsupported))
            unsupported.formUnion(found.unsupported)
            let news = try await store.merge(answers: found.answers)
            if let cursor = found.cursor { try await store.setValue("\(orders) \(cursor)", forKey: key) }
            if !news.isEmpty { logger.notice("answers arrived", metadata: ["count": "\(news.count)"]) }
            if let failure = found.failure { throw failure }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    func sendReply(_ id: String, _ link: ServerLink) async throws(UplinkError) {
        do {
            guard let question = try await store.answer(id)?.answer, let reply = question.reply, !reply.isSent else {
                return
            }
            // Derived from the question: however often it is sent, it is one reply.
            try await AnswersLane(link, offer: offer, team: configuration.team).send(
                reply, to: question, id: Identity.of("reply", id))
            try await store.replySent(to: id)
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    // MARK: How far a visit is

    /// Visits that the nurse opened are in progress; closed ones are completed only when everything of theirs has a receipt
    /// and its final facts.
    func dueReports() async throws -> [String: TaskLane.State] {
        var due: [String: TaskLane.State] = [:]
        var unfinished: Set<String>?
        for visit in try await store.visits() where visit.status == .open || visit.status == .closed {
            if told[visit.id] == nil {
                told[visit.id] = try await store.value(forKey: Self.taskKey(visit.id))
                // The server closed what nobody opened here: it needn't be told.
                if told[visit.id] == nil, try await store.visitTimes(visit.id).opened == nil {
                    told[visit.id] = "completed"
                }
            }
            var state = TaskLane.State.inProgress
            if visit.status == .closed {
                if unfinished == nil { unfinished = try await store.unfinishedVisits() }
                if unfinished?.contains(visit.id) == false { state = .completed }
            }
            let known = told[visit.id]
            if known != state.rawValue, known != TaskLane.State.completed.rawValue { due[visit.id] = state }
        }
        return due
    }

    func report(_ visit: String, _ state: TaskLane.State, _ link: ServerLink) async throws(UplinkError) {
        let outcome = try await TaskLane(link, offer: offer).tell(visit, state)
        do {
            var word = state.rawValue
            if case .ended(let status) = outcome {
                // The server's word wins; the worklist brings the rest.
                logger.notice("the server has ended the visit", metadata: ["visit": "\(visit)", "status": "\(status)"])
                word = TaskLane.State.completed.rawValue
                machine.wantWorklist()
            }
            told[visit] = word
            reports[visit] = nil
            try await store.setValue(word, forKey: Self.taskKey(visit))
        } catch {
            throw .local("\(error)")
        }
    }

    private static func taskKey(_ visit: String) -> String { "task|\(visit)" }
}
