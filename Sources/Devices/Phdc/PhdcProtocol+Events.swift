import Clinical
import Wire

/// What the device presents while it is associated.
extension PhdcProtocol {
    mutating func presented(_ data: PhdcData, at now: UInt64) -> [DialogueAction] {
        switch data.message {
        case .event(let event, let confirmed):
            guard state == .operating else { return proposed(data, event, confirmed: confirmed, at: now) }
            return happened(data, event, confirmed: confirmed, at: now)
        case .get, .set, .action:
            // Nothing may be asked of the host.
            guard state == .operating else {
                return [answer(data.invoke, .error(PhdcProblem.noSuchObject, parameter: []))]
            }
            return [answer(data.invoke, .rejection(PhdcProblem.unrecognizedOperation))]
        case .eventResponse, .getResponse, .setResponse, .actionResponse, .error, .rejection:
            guard let (id, wanted) = request, id == data.invoke else {
                return abort(PhdcAbort.undefined, "answered what was not asked", at: now)
            }
            request = nil
            deadlines[.request] = nil
            return answered(data.message, to: wanted, at: now)
        }
    }

    // MARK: Configuration

    /// Before the configuration is agreed, only a proposal is welcome (phdc.md 6.2).
    private mutating func proposed(
        _ data: PhdcData, _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        guard confirmed else { return conversation.surprise("an unconfirmed report before the configuration") }
        guard event.type == PhdcEventType.configuration, event.handle == 0 else {
            return [answer(data.invoke, .error(PhdcProblem.noSuchObject, parameter: []))]
        }
        let report: PhdcConfigurationReport
        do {
            report = try PhdcConfigurationReport(event.info)
        } catch {
            return conversation.surprise("a configuration can't be read: \(error)")
                + [answer(data.invoke, .rejection(PhdcProblem.badlyStructured))]
        }
        var configuration = PhdcConfiguration(id: report.id, objects: report.objects)
        var result = PhdcConfigurationReport.Result.accepted
        if report.objects.isEmpty, PhdcConfiguration.isStandard(report.id) {
            if let standard = PhdcConfiguration.standard(report.id) {
                configuration = standard
            } else {
                result = .standardUnknown
            }
        } else if !configuration.isUsable {
            result = .unsupported
        }
        var response = event
        response.info = PhdcConfigurationReport.response(report.id, result)
        let reply = answer(data.invoke, .eventResponse(response))
        guard result == .accepted else {
            deadlines[.configuration] = now + Limit.configuration
            return conversation.surprise(
                "configuration \(phdcHexadecimal(report.id)) was refused: \(PhdcObservation.shown(event.info))") + [
                    reply
                ]
        }
        conversation.configure(configuration, raw: event.info)
        return [reply] + operate(at: now)
    }

    // MARK: Reports

    private mutating func happened(
        _ data: PhdcData, _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        if event.type == PhdcEventType.configuration {
            return conversation.surprise("a configuration in the middle of the association")
                + (confirmed ? [answer(data.invoke, .error(PhdcProblem.noSuchAction, parameter: []))] : [])
        }
        if goal == .identify {
            // Nobody keeps it now: the device shall.
            return confirmed ? [answer(data.invoke, .rejection(PhdcProblem.resourceLimitation))] : []
        }
        if !isIntroduced {
            // The recording would begin without the device's name.
            held.append(data)
            return held.count >= Limit.heldReports ? introduce(at: now) : []
        }
        return kept(data, event, confirmed: confirmed, at: now)
    }

    /// Reports that waited for the device's name.
    mutating func release(held waiting: [PhdcData], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for data in waiting {
            guard case .event(let event, let confirmed) = data.message else { continue }
            actions += kept(data, event, confirmed: confirmed, at: now)
        }
        return actions
    }

    private mutating func kept(
        _ data: PhdcData, _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        guard state == .operating else { return [] }
        if deadlines[.quiet] != nil { deadlines[.quiet] = now + Limit.quiet }
        if event.type == PhdcEventType.segmentData { return stored(data, event, confirmed: confirmed, at: now) }
        guard confirmed else {
            guard goal == .live else {
                return conversation.surprise("live reports are not kept while the memory is read")
            }
            return conversation.report(event, confirmed: false, at: now).actions
        }
        var response = event
        response.info = []
        if data == lastConfirmed {
            // The answer was lost; what it reports is durable already.
            return conversation.surprise("a confirmed report came again") + [
                answer(data.invoke, .eventResponse(response))
            ]
        }
        let (actions, verdict) = conversation.report(event, confirmed: true, at: now)
        // Last: everything before it is durable by then.
        switch verdict {
        case .accepted:
            lastConfirmed = data
            unsettled = data.invoke
            return actions + [answer(data.invoke, .eventResponse(response))]
        case .noSuchEvent: return actions + [answer(data.invoke, .error(PhdcProblem.noSuchAction, parameter: []))]
        case .noSuchObject: return actions + [answer(data.invoke, .error(PhdcProblem.noSuchObject, parameter: []))]
        case .malformed: return actions + [answer(data.invoke, .rejection(PhdcProblem.badlyStructured))]
        case .busy: return actions + [answer(data.invoke, .rejection(PhdcProblem.resourceLimitation))]
        }
    }

    /// A portion of a segment that was asked for.
    private mutating func stored(
        _ data: PhdcData, _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        guard let transfer, transfer.store == event.handle, confirmed else {
            return conversation.surprise("segment data that nobody asked for")
                + (confirmed ? [answer(data.invoke, .error(PhdcProblem.noSuchObject, parameter: []))] : [])
        }
        guard let portion = try? PhdcSegmentData(event.info), portion.instance == transfer.instance else {
            return conversation.surprise("data of another segment, or none: \(PhdcObservation.shown(event.info))")
                + [answer(data.invoke, .rejection(PhdcProblem.badlyStructured))]
        }
        let (actions, verdict, reply, isOver) = conversation.segmentData(event, at: now)
        guard verdict == .accepted else {
            return actions + [answer(data.invoke, .error(PhdcProblem.noSuchObject, parameter: []))]
        }
        var response = event
        response.info = reply
        unsettled = data.invoke
        // Last: everything before it is durable by then.
        var all = actions + [answer(data.invoke, .eventResponse(response))]
        if isOver {
            self.transfer = nil
            deadlines[.transfer] = nil
            all += next(at: now)
        }
        return all
    }
}
