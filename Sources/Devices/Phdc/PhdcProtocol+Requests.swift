import Clinical
import Wire

/// What is asked of the device: its attributes, its scanners, its stored segments. Never anything that changes what is
/// stored: clear-segments has no case here.
extension PhdcProtocol {
    /// Sends the next request, one at a time; the goal is reached when a download has none left.
    mutating func next(at now: UInt64) -> [DialogueAction] {
        guard state == .operating, request == nil, transfer == nil else { return [] }
        guard let wanted = queue.first else {
            guard case .download = goal, isIntroduced, deadlines[.quiet] == nil else { return [] }
            return release(isStoreBusy ? .busyRecording : .done, at: now)
        }
        queue.removeFirst()
        return ask(Self.message(wanted), for: wanted, at: now)
    }

    private static func message(_ wanted: Request) -> PhdcMessage {
        var writer = ByteWriter()
        switch wanted {
        case .identity: return .get(handle: 0, attributes: [])
        case .store(let handle): return .get(handle: handle, attributes: [])
        case .enable(let handle):
            let enabled = PhdcAttribute(PhdcAttributeID.operationalState, 1 as UInt16)
            return .set(handle: handle, [PhdcModification(operation: 0, attribute: enabled)], confirmed: true)
        case .segmentInfo(let handle):
            // All segments.
            let all: [UInt8] = [0, 1, 0, 2, 0, 0]
            return .action(
                PhdcAction(handle: handle, type: PhdcActionType.segmentInfo, info: all), confirmed: true)
        case .transfer(let key):
            writer.bigEndian(key.instance)
            return .action(
                PhdcAction(handle: key.store, type: PhdcActionType.triggerTransfer, info: writer.bytes),
                confirmed: true)
        case .data:
            // Start, scope "all", single response (phdc.md 9.3).
            writer.bigEndian(0x0100 as UInt16)
            writer.bigEndian(0x8880 as UInt16)
            writer.bigEndian(0 as UInt32)
            writer.bigEndian(0 as UInt32)
            writer.sequence([UInt16]()) { $0.bigEndian($1) }
            return .action(PhdcAction(handle: 0, type: PhdcActionType.dataRequest, info: writer.bytes), confirmed: true)
        }
    }

    /// Who it is, is known, or it does not say: now the goal counts.
    mutating func introduce(at now: UInt64) -> [DialogueAction] {
        guard !isIntroduced, state == .operating else { return [] }
        isIntroduced = true
        deadlines[.hold] = nil
        var actions = conversation.announceIdentity()
        let objects = conversation.configuration?.objects ?? []
        // Scanners are off when an association begins.
        let scanners = objects.filter { PhdcClass.isScanner($0.kind) }
        let stores = conversation.configuration?.stores ?? []
        switch goal {
        case .identify, .erase: return actions + leaveUnread(at: now)
        case .live:
            queue += scanners.map { .enable($0.handle) }
            if needsAsking { queue.append(.data) }
        case .download:
            queue += stores.map { .store($0) }
            if stores.isEmpty {
                queue += scanners.filter { $0.kind == PhdcClass.episodicScanner }.map { .enable($0.handle) }
                if needsAsking { queue.append(.data) }
                // It reports what it has stored by itself.
                deadlines[.quiet] = now + Limit.quiet
            }
        }
        let waiting = held
        held = []
        actions += release(held: waiting, at: now)
        return actions + next(at: now)
    }

    /// Does not report by itself, and can be asked for everything at once (phdc.md 4.4).
    private var needsAsking: Bool { requestModes & 0x0001 == 0 && requestModes & 0x0880 == 0x0880 }

    mutating func answered(_ message: PhdcMessage, to wanted: Request, at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        switch (wanted, message) {
        case (.identity, .getResponse(0, let attributes)):
            actions = conversation.take(attributes, of: 0, at: now) + introduce(at: now)
        case (.enable(let handle), .setResponse(let other, _)) where handle == other: break
        case (.data, .actionResponse(let action)) where action.type == PhdcActionType.dataRequest:
            actions = conversation.dataResponse(action, at: now)
        case (.store(let handle), .getResponse(let other, let attributes)) where handle == other:
            actions = conversation.take(attributes, of: handle, at: now)
            if attributes[id: PhdcAttributeID.operationalState]?.u16 == 1 {
                isStoreBusy = true
                actions += conversation.surprise("store \(handle) is recording")
            } else {
                queue.insert(.segmentInfo(handle), at: 0)
            }
        case (.segmentInfo(let handle), .actionResponse(let action))
        where action.type == PhdcActionType.segmentInfo && action.handle == handle:
            actions = described(action, at: now)
        case (.transfer(let key), .actionResponse(let action))
        where action.type == PhdcActionType.triggerTransfer && action.handle == key.store:
            actions = triggered(key, action, at: now)
        default:
            actions = conversation.surprise("\(wanted) was answered with \(Self.summary(message))")
            if wanted == .identity { actions += introduce(at: now) }
        }
        return actions + next(at: now)
    }

    private static func summary(_ message: PhdcMessage) -> String {
        switch message {
        case .error(let value, _): "error \(value)"
        case .rejection(let problem): "rejection \(problem)"
        default: "message \(phdcHexadecimal(message.choice))"
        }
    }

    /// Which segments there are: those that are not here yet are fetched, the empty ones are not.
    private mutating func described(_ action: PhdcAction, at now: UInt64) -> [DialogueAction] {
        let list: [PhdcSegmentInfo]
        do {
            list = try PhdcSegmentInfo.list(action.info)
        } catch {
            return conversation.surprise("the list of segments can't be read: \(error)")
        }
        conversation.take(segments: list, of: action.handle)
        var actions: [DialogueAction] = []
        var wanted: [Request] = []
        for info in list {
            guard info.attributes[id: PhdcAttributeID.segmentUsage]?.u32 != 0,
                let segment = conversation.segments[PhdcSegmentKey(store: action.handle, instance: info.instance)]
            else { continue }
            let item = conversation.item(segment, at: now)
            if conversation.known.contains(item.source) {
                actions.append(.skipped(item))
            } else {
                wanted.append(.transfer(segment.key))
            }
        }
        queue.insert(contentsOf: wanted, at: 0)
        return actions
    }

    private mutating func triggered(
        _ key: PhdcSegmentKey, _ action: PhdcAction, at now: UInt64
    ) -> [DialogueAction] {
        guard action.info.count == 4, action.info[2] == 0, action.info[3] == 0 else {
            return conversation.surprise("segment \(key.instance) is not sent: \(PhdcObservation.shown(action.info))")
        }
        // What was reported by itself meanwhile is a recording of its own.
        let actions = conversation.end(.finished, at: now)
        transfer = key
        let limit = conversation.segments[key]?.timeout ?? Limit.transfer
        deadlines[.transfer] = now + min(max(limit, Limit.request), Limit.longestTransfer)
        return actions
    }
}

extension PhdcConversation {
    /// A report inside the answer to a data request (phdc.md 9.3).
    mutating func dataResponse(_ action: PhdcAction, at now: UInt64) -> [DialogueAction] {
        let response: PhdcDataResponse
        do {
            response = try PhdcDataResponse(action.info)
        } catch {
            return surprise("the answer to a data request can't be read: \(error)")
        }
        guard response.result == 0 else { return surprise("a data request was refused: \(response.result)") }
        guard response.eventType != 0 else { return [] }
        let event = PhdcEvent(
            handle: action.handle, time: response.time, type: response.eventType, info: response.info)
        return report(event, confirmed: true, at: now).actions
    }
}
