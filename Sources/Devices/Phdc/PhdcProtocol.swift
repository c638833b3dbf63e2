import Clinical
import Wire

/// The host's side of the conversation (phdc.md 5.1): answers the association, gets the configuration and the device's
/// attributes, confirms reports, fetches stored segments. Requests are in `+Requests`, events in `+Events`.
///
/// A confirmed report may be erased by the device once it is answered. So every answer comes after the actions that hand
/// the data over (`begin`, `reading`, `note`, `append`) in the same list: the pump carries them out in order, each returns
/// only when it is durable, and when one fails the answer is never sent.
struct PhdcProtocol: Dialogue {
    enum State: Sendable, Equatable {
        case unassociated
        case waitingForConfiguration
        case operating
        /// A release was asked for; the session ends like this.
        case releasing(SessionEnd)
        case finished
    }

    /// What is asked of the device; one at a time.
    enum Request: Sendable, Equatable {
        case identity
        case enable(UInt16)
        case data
        case store(UInt16)
        case segmentInfo(UInt16)
        case transfer(PhdcSegmentKey)
    }

    enum Deadline: Sendable, Hashable { case contact, configuration, request, hold, quiet, transfer, release }

    /// Nanoseconds (phdc.md 5.3), and our own limits.
    enum Limit {
        static let second: UInt64 = 1_000_000_000
        /// A device repeats its association request every 10 s.
        static let contact = 12 * second
        static let configuration = 10 * second
        static let request = 3 * second
        static let release = 3 * second
        /// A person who stops does not wait.
        static let farewell = second * 4 / 5
        /// A report waits at most so long for the device's name; a device gives up after 3 s.
        static let hold = second * 3 / 2
        /// A device without a store has reported everything.
        static let quiet = 4 * second
        /// Between two portions of a segment, when the device doesn't say.
        static let transfer = 30 * second
        static let longestTransfer = 3600 * second
        static let heldReports = 64
        static let associations = 3
    }

    let goal: SessionGoal
    let systemID: [UInt8]
    var state = State.unassociated
    var conversation = PhdcConversation(isListening: false)
    var request: (id: UInt16, request: Request)?
    var queue: [Request] = []
    /// The segment that is on its way.
    var transfer: PhdcSegmentKey?
    var requestModes: UInt16 = 0
    var held: [PhdcData] = []
    var deadlines: [Deadline: UInt64] = [:]
    /// The last confirmed event that was taken, to recognise it when the answer was lost.
    var lastConfirmed: PhdcData?
    /// The device did not answer the question who it is; it is not asked again.
    var isMute = false
    /// Some store was recording by itself and could not be read.
    var isStoreBusy = false
    /// Everything that the goal asks for was asked for in this association.
    var isIntroduced = false
    private var framer = PhdcFramers()
    private var invoke: UInt16 = 0
    private var associations = 0
    private var hasSeenPreamble = false
    private var asked: UInt64?
    /// The device was made to begin anew; once is enough.
    private var isRenewed = false
    /// Invoke id of a confirmed report whose answer stands at the end of the last actions.
    var unsettled: UInt16?

    init(goal: SessionGoal, systemID: [UInt8] = Phdc.systemID) {
        self.goal = goal
        self.systemID = systemID
        if case .download(let known) = goal { conversation.known = known }
    }

    // MARK: Dialogue

    mutating func start(at now: UInt64) -> [DialogueAction] {
        conversation.began = now
        deadlines[.contact] = now + Limit.contact
        return conclude([], at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        received(bytes, from: nil, at: now)
    }

    mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction] {
        unsettled = nil
        var actions: [DialogueAction] = []
        for piece in framer.take(bytes, from: endpoint, at: now) where state != .finished {
            actions += take(piece, at: now)
        }
        return conclude(actions, at: now)
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        asked = nil
        unsettled = nil
        var actions: [DialogueAction] = []
        for piece in framer.expire(at: now) where state != .finished { actions += take(piece, at: now) }
        actions += conversation.flushIfDue(at: now)
        let due = deadlines.filter { $0.value <= now }.sorted { $0.value < $1.value }
        for (deadline, time) in due where deadlines[deadline] == time && state != .finished {
            deadlines[deadline] = nil
            actions += expired(deadline, at: now)
        }
        return conclude(actions, at: now)
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        switch state {
        case .finished: return []
        case .unassociated: actions = finish(.done, at: now)
        case .releasing: deadlines[.release] = min(deadlines[.release] ?? .max, now + Limit.farewell)
        case .waitingForConfiguration, .operating:
            actions = release(.done, at: now)
            deadlines[.release] = now + Limit.farewell
        }
        return conclude(actions, at: now)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard state != .finished else { return [] }
        for piece in framer.flush() { conversation.hear(piece.bytes) }
        let actions = keepHeld(at: now) + conversation.end(.deviceGone, at: now)
        state = .finished
        return actions + [.finish(.deviceEnded("the cable is gone"))]
    }

    /// What could not be stored is not confirmed but refused, so that the device keeps it (phdc.md 5.4); then it is told that
    /// nobody listens any more.
    mutating func unkept(at now: UInt64) -> [[UInt8]] {
        guard let unsettled else {
            return stop(at: now).compactMap { if case .send(let bytes) = $0 { bytes } else { nil } }
        }
        return [
            PhdcApdu.presentation(PhdcData(unsettled, .rejection(PhdcProblem.resourceLimitation))).wire,
            PhdcApdu.releaseRequest(reason: 0).wire,
        ]
    }

    private mutating func conclude(_ actions: [DialogueAction], at now: UInt64) -> [DialogueAction] {
        guard state != .finished else { return actions }
        let next = ([framer.deadline, conversation.flushDeadline] + deadlines.values.map { $0 }).compactMap { $0 }.min()
        guard let next, next != asked else { return actions }
        asked = next
        return actions + [.ask(.nanoseconds(Int64(clamping: next > now ? next - now : 1)))]
    }

    private mutating func expired(_ deadline: Deadline, at now: UInt64) -> [DialogueAction] {
        switch deadline {
        case .contact where !isRenewed:
            // It gave up asking, or waits since somebody's abort: it begins anew, once (phdc.md 2.10).
            isRenewed = true
            framer = PhdcFramers()
            deadlines[.contact] = now + Limit.contact
            return [.renew]
        case .contact:
            let end = SessionEnd.deviceEnded("it does not associate any more")
            return finish(associations == 0 ? .notThisDevice : end, at: now)
        case .configuration: return abort(PhdcAbort.configurationTimeout, "sent no configuration", at: now)
        case .request:
            if request?.request == .identity { isMute = true }
            return abort(PhdcAbort.responseTimeout, "did not answer", at: now)
        case .transfer: return abort(PhdcAbort.responseTimeout, "stopped sending a segment", at: now)
        case .hold: return introduce(at: now)
        case .quiet: return release(.done, at: now)
        case .release: return [.send(PhdcApdu.abort(reason: PhdcAbort.undefined).wire)] + leave(at: now)
        }
    }

    // MARK: APDUs

    private mutating func take(_ piece: PhdcFramer.Piece, at now: UInt64) -> [DialogueAction] {
        switch piece {
        case .apdu(let bytes):
            if state == .unassociated { conversation.forgetLeadIn() }
            conversation.hear(bytes)
            return take(apdu: bytes, at: now)
        case .padding(let bytes):
            conversation.hear(bytes)
            return []
        case .preamble(let bytes):
            conversation.hear(bytes)
            defer { hasSeenPreamble = true }
            return hasSeenPreamble ? [] : conversation.surprise("a metadata preamble that nobody asked for")
        case .lost(let bytes):
            conversation.hear(bytes)
            let actions = conversation.lose(bytes, at: now)
            return state == .unassociated
                ? actions : actions + abort(PhdcAbort.undefined, "sent what is no message", at: now)
        }
    }

    private mutating func take(apdu bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        do {
            let apdu = try PhdcApdu(bytes)
            return switch state {
            case .unassociated: unassociated(apdu, at: now)
            case .waitingForConfiguration, .operating: associated(apdu, at: now)
            case .releasing: releasing(apdu, at: now)
            case .finished: []
            }
        } catch {
            let actions = conversation.surprise("a message can't be read: \(error)")
            guard PhdcApdu.choice(of: bytes) == .presentation, let id = PhdcData.requestID(in: bytes),
                state != .unassociated
            else { return actions + abort(PhdcAbort.undefined, "sent a message that can't be read", at: now) }
            if case .releasing = state { return actions }
            return actions + [answer(id, .rejection(PhdcProblem.badlyStructured))]
        }
    }

    private mutating func unassociated(_ apdu: PhdcApdu, at now: UInt64) -> [DialogueAction] {
        switch apdu {
        case .associationRequest(let request): return associate(request, at: now)
        case .releaseResponse, .abort: return []
        case .associationResponse, .releaseRequest, .presentation:
            return [.send(PhdcApdu.abort(reason: PhdcAbort.undefined).wire)]
        }
    }

    private mutating func associated(_ apdu: PhdcApdu, at now: UInt64) -> [DialogueAction] {
        switch apdu {
        case .presentation(let data): return presented(data, at: now)
        case .releaseRequest:
            let actions = [DialogueAction.send(PhdcApdu.releaseResponse(reason: 0).wire)]
            // What is open is sealed before the device is told that it may go.
            return disassociate(.finished, "released the association", at: now, last: actions)
        case .abort(let reason):
            let actions = conversation.surprise("the device aborted the association, reason \(reason)")
            return actions + disassociate(.deviceEnded, "aborted the association", at: now)
        case .associationRequest, .associationResponse, .releaseResponse:
            return abort(PhdcAbort.undefined, "sent what does not belong here", at: now)
        }
    }

    private mutating func releasing(_ apdu: PhdcApdu, at now: UInt64) -> [DialogueAction] {
        switch apdu {
        case .releaseResponse, .abort: return leave(at: now)
        case .releaseRequest: return [.send(PhdcApdu.releaseResponse(reason: 0).wire)]
        case .presentation(let data) where !data.message.isResponse: return []
        case .associationRequest, .associationResponse, .presentation:
            return [.send(PhdcApdu.abort(reason: PhdcAbort.undefined).wire)] + leave(at: now)
        }
    }

    // MARK: Association

    /// Phdc.md 4.3.
    private mutating func associate(_ wanted: PhdcAssociationRequest, at now: UInt64) -> [DialogueAction] {
        var ours = PhdcAssociationInformation(systemType: 0x8000_0000, systemID: systemID)
        let result = Self.judge(wanted)
        guard result == .accepted, let theirs = wanted.information else {
            if result == .noCommonParameter { ours.protocolVersion = 0 }
            return conversation.surprise("an association was refused: \(result)")
                + [.send(PhdcApdu.associationResponse(PhdcAssociationResponse(result, ours)).wire)]
        }
        associations += 1
        deadlines = [:]
        requestModes = theirs.requestModes
        lastConfirmed = nil
        isIntroduced = false
        conversation.associate(theirs)
        let known = PhdcConfiguration.known.contains(theirs.configuration)
        let answer = PhdcAssociationResponse(known ? .accepted : .acceptedUnknownConfiguration, ours)
        let actions = [DialogueAction.send(PhdcApdu.associationResponse(answer).wire)]
        guard known, let standard = PhdcConfiguration.standard(theirs.configuration) else {
            state = .waitingForConfiguration
            deadlines[.configuration] = now + Limit.configuration
            return actions
        }
        conversation.configure(standard)
        return actions + operate(at: now)
    }

    private static func judge(_ wanted: PhdcAssociationRequest) -> PhdcAssociationResponse.Result {
        guard wanted.version & 0x8000_0000 != 0 else { return .unsupportedVersion }
        guard wanted.protocols.contains(where: { $0.id == PhdcAssociationRequest.dataProtocol }) else {
            return .noCommonProtocol
        }
        guard let theirs = wanted.information, theirs.protocolVersion & 0x8000_0000 != 0,
            theirs.encodingRules & 0x8000 != 0, theirs.nomenclatureVersion & 0x8000_0000 != 0
        else { return .noCommonParameter }
        guard theirs.systemID.count == 8, theirs.systemType & 0x0080_0000 != 0,
            theirs.functionalUnits & 0x2000_0000 == 0
        else { return .rejectedPermanent }
        return .accepted
    }

    /// The configuration is agreed.
    mutating func operate(at now: UInt64) -> [DialogueAction] {
        state = .operating
        deadlines[.configuration] = nil
        guard !isMute else { return introduce(at: now) }
        if goal != .identify { deadlines[.hold] = now + Limit.hold }
        queue = [.identity]
        return next(at: now)
    }

    /// Ends the association from our side; the session ends with it.
    mutating func release(_ end: SessionEnd, at now: UInt64) -> [DialogueAction] {
        let kept = keepHeld(at: now)
        let reason: Recording.EndReason =
            transfer == nil && conversation.open?.transfer == nil ? .stopped : .deviceEnded
        let actions = kept + conversation.end(reason, at: now)
        forgetRequests()
        state = .releasing(end)
        deadlines[.release] = now + Limit.release
        return actions + [.send(PhdcApdu.releaseRequest(reason: 0).wire)]
    }

    /// The end of a probe. A release would say that nobody wants anything any more, and a device may then sleep until it is
    /// plugged in again; after an abort it still has what it has to say, and associates again (phdc.md 5.2, 5.3).
    mutating func leaveUnread(at now: UInt64) -> [DialogueAction] {
        forgetRequests()
        return [.send(PhdcApdu.abort(reason: PhdcAbort.undefined).wire)] + finish(.done, at: now)
    }

    mutating func abort(_ reason: UInt16, _ text: String, at now: UInt64) -> [DialogueAction] {
        let last = [DialogueAction.send(PhdcApdu.abort(reason: reason).wire)]
        if case .releasing = state { return last + leave(at: now) }
        if state == .unassociated { return last }
        return conversation.surprise("the device \(text)") + disassociate(.deviceEnded, text, at: now, last: last)
    }

    /// The association is over; whether the session is, depends on what it is for.
    private mutating func disassociate(
        _ reason: Recording.EndReason, _ text: String, at now: UInt64, last: [DialogueAction] = []
    ) -> [DialogueAction] {
        let wasTransferring = conversation.open?.transfer != nil
        let kept = keepHeld(at: now)
        let actions = kept + conversation.end(wasTransferring ? .deviceEnded : reason, at: now) + last
        let isDone = isIntroduced && transfer == nil && queue.isEmpty && request == nil && held.isEmpty
        forgetRequests()
        state = .unassociated
        switch goal {
        case .live: if !isIntroduced { deadlines[.contact] = now + Limit.contact }
        case .download where isIntroduced:
            return actions + finish(isDone && reason == .finished ? .done : .deviceEnded(text), at: now)
        case .download, .identify, .erase:
            guard associations < Limit.associations else { return actions + finish(.deviceEnded(text), at: now) }
            deadlines[.contact] = now + Limit.contact
        }
        return actions
    }

    /// The association ends before the device said who it is. What it expects no answer to it will not say again: that is kept, under
    /// what is known of it. What it wants confirmed is not: it keeps that itself.
    private mutating func keepHeld(at now: UInt64) -> [DialogueAction] {
        let waiting = held.filter { if case .event(_, confirmed: false) = $0.message { true } else { false } }
        held.removeAll { waiting.contains($0) }
        guard goal != .identify, !waiting.isEmpty else { return [] }
        return conversation.announceIdentity() + release(held: waiting, at: now)
    }

    private mutating func forgetRequests() {
        request = nil
        queue = []
        held = []
        transfer = nil
        deadlines = [:]
    }

    private mutating func leave(at now: UInt64) -> [DialogueAction] {
        guard case .releasing(let end) = state else { return [] }
        return finish(end, at: now)
    }

    private mutating func finish(_ end: SessionEnd, at now: UInt64) -> [DialogueAction] {
        let actions = conversation.end(.deviceEnded, at: now)
        state = .finished
        deadlines = [:]
        return actions + [.finish(end)]
    }

    // MARK: Sending

    func answer(_ id: UInt16, _ message: PhdcMessage) -> DialogueAction {
        .send(PhdcApdu.presentation(PhdcData(id, message)).wire)
    }

    /// A new invoke id; ours need not differ from the device's.
    mutating func ask(_ message: PhdcMessage, for wanted: Request, at now: UInt64) -> [DialogueAction] {
        defer { invoke &+= 1 }
        request = (invoke, wanted)
        deadlines[.request] = now + Limit.request
        return [answer(invoke, message)]
    }
}
