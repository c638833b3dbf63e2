import Clinical
import Wire

/// Understands a conversation that somebody else leads, also only the device's side of it, also from its middle.
struct PhdcListener: Listener {
    private var conversation = PhdcConversation(isListening: true)
    private var device = PhdcFramers()
    private var host = PhdcFramer()
    private var lastConfirmed: PhdcData?

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for case .apdu(let bytes) in host.take(bytes, at: now) {
            guard let apdu = try? PhdcApdu(bytes) else { continue }
            switch apdu {
            case .presentation(let data):
                guard case .eventResponse(let event) = data.message, event.type == PhdcEventType.configuration,
                    event.info.count == 4, event.info[2...] != [0, 0]
                else { continue }
                conversation.refuseConfiguration()
            case .abort: actions += conversation.end(.deviceEnded, at: now)
            case .releaseRequest: actions += conversation.end(.stopped, at: now)
            default: break
            }
        }
        return actions
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        received(bytes, from: nil, at: now)
    }

    mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for piece in device.take(bytes, from: endpoint, at: now) { actions += take(piece, at: now) }
        return actions + conversation.flushIfDue(at: now)
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for piece in device.flush() { actions += take(piece, at: now) }
        // A transfer that never came to its end is not complete.
        actions += conversation.end(conversation.open?.transfer == nil ? .stopped : .deviceEnded, at: now)
        return actions + conversation.announceIdentity()
    }

    private mutating func take(_ piece: PhdcFramer.Piece, at now: UInt64) -> [DialogueAction] {
        switch piece {
        case .apdu(let bytes):
            if PhdcApdu.choice(of: bytes) == .associationRequest { conversation.forgetLeadIn() }
            conversation.hear(bytes)
            do {
                return take(try PhdcApdu(bytes), at: now)
            } catch {
                return conversation.surprise("a message can't be read: \(error)")
            }
        case .padding(let bytes):
            conversation.hear(bytes)
            return []
        case .preamble(let bytes):
            conversation.hear(bytes)
            return conversation.surprise("a metadata preamble")
        case .lost(let bytes):
            conversation.hear(bytes)
            return conversation.lose(bytes, at: now)
        }
    }

    private mutating func take(_ apdu: PhdcApdu, at now: UInt64) -> [DialogueAction] {
        switch apdu {
        case .associationRequest(let request):
            let actions = conversation.end(.deviceEnded, isBefore: true, at: now)
            guard let information = request.information else {
                return actions + conversation.surprise("an association request for another protocol")
            }
            lastConfirmed = nil
            conversation.associate(information)
            // Nobody may have heard the answer; a configuration report would replace it.
            if let standard = PhdcConfiguration.standard(information.configuration) { conversation.configure(standard) }
            return actions + conversation.announceIdentity()
        case .associationResponse:
            return conversation.surprise("an association response from the device")
        case .releaseRequest, .releaseResponse: return conversation.end(.finished, at: now)
        case .abort(let reason):
            return conversation.surprise("the device aborted the association, reason \(reason)")
                + conversation.end(.deviceEnded, at: now)
        case .presentation(let data): return take(data, at: now)
        }
    }

    private mutating func take(_ data: PhdcData, at now: UInt64) -> [DialogueAction] {
        switch data.message {
        case .event(let event, let confirmed):
            switch event.type {
            case PhdcEventType.configuration: return configured(event)
            case PhdcEventType.segmentData: return conversation.segmentData(event, at: now).actions
            default:
                guard confirmed else { return conversation.report(event, confirmed: false, at: now).actions }
                guard data != lastConfirmed else { return conversation.surprise("a confirmed report came again") }
                lastConfirmed = data
                return conversation.report(event, confirmed: true, at: now).actions
            }
        case .getResponse(let handle, let attributes): return conversation.take(attributes, of: handle, at: now)
        case .actionResponse(let action):
            switch action.type {
            case PhdcActionType.segmentInfo:
                guard let list = try? PhdcSegmentInfo.list(action.info) else {
                    return conversation.surprise("the list of segments can't be read")
                }
                conversation.take(segments: list, of: action.handle)
                return []
            case PhdcActionType.dataRequest: return conversation.dataResponse(action, at: now)
            default: return []
            }
        case .error(let value, _): return conversation.surprise("the device answered with error \(value)")
        case .rejection(let problem): return conversation.surprise("the device rejected a request, problem \(problem)")
        case .setResponse, .eventResponse, .get, .set, .action: return []
        }
    }

    private mutating func configured(_ event: PhdcEvent) -> [DialogueAction] {
        guard let report = try? PhdcConfigurationReport(event.info) else {
            return conversation.surprise("a configuration can't be read: \(PhdcObservation.shown(event.info))")
        }
        if report.objects.isEmpty, let standard = PhdcConfiguration.standard(report.id) {
            conversation.configure(standard, raw: event.info)
        } else {
            conversation.configure(PhdcConfiguration(id: report.id, objects: report.objects), raw: event.info)
        }
        return []
    }
}
