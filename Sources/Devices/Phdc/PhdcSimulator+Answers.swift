import Wire

/// The agent's state machine (phdc.md 5.2).
extension PhdcSimulator {
    mutating func take(_ apdu: PhdcApdu, at now: UInt64) -> [PhdcApdu] {
        switch apdu {
        case .associationRequest(let request):
            guard let information = request.information else { return [.abort(reason: 0)] }
            return [.associationResponse(PhdcAssociationResponse(.rejectedPermanent, information))]
        case .associationResponse(let response):
            guard state == .associating else { return drop() }
            switch response.result {
            case 0: return operate(at: now)
            case 3:
                state = .configuring
                return configuration.faults.contains(.noConfiguration) ? [] : [proposal()]
            default:
                state = .unassociated
                dueAt = now + 1_000_000_000
                return []
            }
        case .releaseRequest:
            state = .off
            return [.releaseResponse(reason: 0)]
        case .releaseResponse:
            state = .off
            return []
        case .abort(let reason):
            aborts.append(reason)
            forget(until: now + 1_000_000_000)
            if configuration.faults.contains(.sulks) { state = .off }
            return []
        case .presentation(let data):
            guard state == .configuring || state == .operating else { return drop() }
            return take(data, at: now)
        }
    }

    private mutating func drop() -> [PhdcApdu] {
        state = .unassociated
        return [.abort(reason: 0)]
    }

    private mutating func operate(at now: UInt64) -> [PhdcApdu] {
        state = .operating
        operatingSince = now
        attempts = 0
        reported = 0
        numbers = [:]
        return []
    }

    private mutating func proposal() -> PhdcApdu {
        proposals += 1
        var report = PhdcConfigurationReport(
            id: configuration.configuration.id, objects: configuration.configuration.objects)
        var cut = 0
        if proposals == 1, configuration.faults.contains(.badConfigurationFirst) {
            report.id = 0x4FFF
            report.objects = [report.objects[0], report.objects[0]]
        }
        if proposals == 1, configuration.faults.contains(.unreadableConfigurationFirst) { cut = 1 }
        return event(
            PhdcEvent(
                handle: 0, time: 0xFFFF_FFFF, type: PhdcEventType.configuration, info: report.wire.dropLast(cut)),
            confirmed: true)
    }

    private mutating func take(_ data: PhdcData, at now: UInt64) -> [PhdcApdu] {
        func reply(_ message: PhdcMessage) -> PhdcApdu { .presentation(PhdcData(data.invoke, message)) }
        if configuration.faults.contains(.mute), !data.message.isResponse { return [] }
        switch data.message {
        case .get(0, _):
            if configuration.faults.contains(.anonymous) { return [reply(.error(1, parameter: []))] }
            return [reply(.getResponse(handle: 0, identity))]
        case .get(let handle, _):
            guard state == .operating, let object = configuration.configuration[handle],
                object.kind == PhdcClass.store
            else { return [reply(.error(17, parameter: []))] }
            var attributes = object.attributes
            attributes.insert(PhdcAttribute(PhdcAttributeID.handle, handle), at: 0)
            if configuration.faults.contains(.storeRecording),
                let index = attributes.firstIndex(where: { $0.id == PhdcAttributeID.operationalState })
            {
                attributes[index] = PhdcAttribute(PhdcAttributeID.operationalState, 1 as UInt16)
            }
            return [reply(.getResponse(handle: handle, attributes))]
        case .set(let handle, let changes, let isConfirmed):
            guard state == .operating, let object = configuration.configuration[handle],
                PhdcClass.isScanner(object.kind)
            else { return isConfirmed ? [reply(.error(1, parameter: []))] : [] }
            for change in changes where change.attribute.id == PhdcAttributeID.operationalState {
                scanning[handle] = change.attribute.u16 == 1 ? (now, 0) : nil
            }
            return isConfirmed ? [reply(.setResponse(handle: handle, changes.map(\.attribute)))] : []
        case .action(let action, _): return take(action, reply, at: now)
        case .eventResponse(let response): return confirmed(data.invoke, response, at: now)
        case .rejection, .error:
            guard let event = waiting.removeValue(forKey: data.invoke) else { return drop() }
            rejected.append(data.invoke)
            return event.type == PhdcEventType.configuration ? [proposal()] : []
        case .event, .getResponse, .setResponse, .actionResponse: return drop()
        }
    }

    private var identity: [PhdcAttribute] {
        func text(_ text: String) -> [UInt8] {
            let bytes = Array(text.utf8) + (text.utf8.count.isMultiple(of: 2) ? [] : [0])
            return [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
        }
        let serial = text(configuration.serial)
        var production = ByteWriter()
        production.sequence([serial]) {
            $0.append(contentsOf: [0, 1, 0, 0])
            $0.append(contentsOf: $1)
        }
        let code = configuration.specialisation
        return [
            PhdcAttribute(
                PhdcAttributeID.systemSpecifications,
                [0, 1, 0, 4, UInt8(code >> 8), UInt8(code & 0xFF), 0, 1]),
            PhdcAttribute(PhdcAttributeID.model, text(configuration.manufacturer) + text(configuration.model)),
            PhdcAttribute(PhdcAttributeID.systemID, [0, 8] + configuration.systemID),
            PhdcAttribute(PhdcAttributeID.configurationID, configuration.configuration.id),
            PhdcAttribute(PhdcAttributeID.production, production.bytes),
        ] + configuration.attributes
    }

    // MARK: Confirmations

    private mutating func confirmed(_ id: UInt16, _ response: PhdcEvent, at now: UInt64) -> [PhdcApdu] {
        guard let event = waiting[id] else {
            // The answer to a report that was sent twice.
            return configuration.faults.contains(.repeatsReports) || configuration.faults.contains(.repeatsSegmentData)
                ? [] : drop()
        }
        waiting[id] = nil
        switch event.type {
        case PhdcEventType.configuration:
            guard response.info.count == 4, response.info[2...] == [0, 0] else { return [proposal()] }
            return operate(at: now)
        case PhdcEventType.segmentData:
            confirmed.append(id)
            let status = response.info.count == 12 ? UInt16(response.info[10]) << 8 | UInt16(response.info[11]) : 0
            if status & PhdcSegmentData.hostAbort != 0 { transfer = nil }
            if transfer != nil { transfer?.waiting = false }
            return portion(at: now)
        default:
            confirmed.append(id)
            return []
        }
    }

    // MARK: Stored segments

    private mutating func take(
        _ action: PhdcAction, _ reply: (PhdcMessage) -> PhdcApdu, at now: UInt64
    ) -> [PhdcApdu] {
        guard state == .operating else { return [reply(.error(1, parameter: []))] }
        var response = action
        if action.type == PhdcActionType.dataRequest, action.handle == 0 {
            // Everything at once, as the answer.
            let items = configuration.reports.flatMap(\.items)
            let info = PhdcScanReport(number: 0, items: items).wire
            var writer = ByteWriter()
            writer.bigEndian(ticks(at: now))
            writer.bigEndian(0 as UInt16)
            writer.bigEndian(0x0D1D as UInt16)
            writer.octets(info)
            response.info = writer.bytes
            reported = configuration.reports.count
            return [reply(.actionResponse(response))]
        }
        guard let segments = configuration.stores[action.handle] else { return [reply(.error(1, parameter: []))] }
        switch action.type {
        case PhdcActionType.segmentInfo:
            response.info = PhdcSegmentInfo.wire(segments.map(\.info))
            return [reply(.actionResponse(response))]
        case PhdcActionType.triggerTransfer:
            let instance = action.info.count == 2 ? UInt16(action.info[0]) << 8 | UInt16(action.info[1]) : 0
            let index = segments.firstIndex { $0.info.instance == instance }
            let result: UInt8 = index == nil ? 1 : configuration.faults.contains(.refusesTransfer) ? 2 : 0
            response.info = Array(action.info.prefix(2)) + [0, result]
            guard let index, result == 0 else { return [reply(.actionResponse(response))] }
            transfer = (action.handle, index, 0, false)
            return [reply(.actionResponse(response))] + portion(at: now)
        case PhdcActionType.clearSegments:
            clearCommands += 1
            configuration.stores[action.handle] = []
            response.info = []
            return [reply(.actionResponse(response))]
        default: return [reply(.error(9, parameter: []))]
        }
    }

    /// The next portion of the segment that is being sent.
    private mutating func portion(at now: UInt64) -> [PhdcApdu] {
        guard let current = transfer, !current.waiting, let segments = configuration.stores[current.store] else {
            return []
        }
        let segment = segments[current.segment]
        guard current.next < segment.entries.count else {
            transfer = nil
            return []
        }
        let faults = configuration.faults
        if faults.contains(.stallsInTransfer), current.next > 0 { return [] }
        var first = current.next
        if faults.contains(.skipsSegmentData), first > 0 { first += 1 }
        guard first < segment.entries.count else { return [] }
        let last = min(first + segment.portion, segment.entries.count)
        var status: UInt16 = first == 0 ? PhdcSegmentData.firstEntry : 0
        if last == segment.entries.count { status |= PhdcSegmentData.lastEntry }
        if faults.contains(.abortsTransfer), first > 0 { status |= PhdcSegmentData.agentAbort }
        let count = last - first + (faults.contains(.wrongEntryCount) ? 1 : 0)
        let data = PhdcSegmentData(
            instance: segment.info.instance, index: UInt32(first), count: UInt32(count), status: status,
            entries: segment.entries[first..<last].flatMap { $0 })
        transfer?.next = status & PhdcSegmentData.agentAbort == 0 ? last : segment.entries.count
        transfer?.waiting = true
        let apdu = event(
            PhdcEvent(handle: current.store, time: 0xFFFF_FFFF, type: PhdcEventType.segmentData, info: data.wire),
            confirmed: true)
        var out = [apdu]
        if faults.contains(.repeatsSegmentData), status & PhdcSegmentData.lastEntry == 0 { out.append(apdu) }
        if faults.contains(.reportsInTransfer), reported < configuration.reports.count {
            reported += 1
            out.append(contentsOf: say(configuration.reports[reported - 1], at: now))
        }
        return out
    }
}
