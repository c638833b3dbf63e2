import Clinical
import Wire

extension PhdcConversation {
    /// The answer to get-segment-info.
    mutating func take(segments list: [PhdcSegmentInfo], of store: UInt16) {
        // A Get need not repeat what the configuration said of the store (the sample period); the newer value stands first and counts.
        let attributes = (stores[store] ?? []) + (configuration?[store]?.attributes ?? [])
        for info in list.prefix(4096) {
            let segment = PhdcSegment(info, of: store, attributes)
            segments[segment.key] = segment
        }
    }

    /// A segment without a start time could be any, so it is never the same one.
    private func source(of segment: PhdcSegment, at now: UInt64) -> String {
        let start = segment.rawStart.map { phdcHexadecimal($0).filter { $0 != " " } }
        let parts = [
            Phdc.name, nameplate.systemName ?? "", "\(segment.key.store)", "\(segment.key.instance)",
            start ?? "unstamped-\(now)", "\(segment.usage)",
        ]
        return parts.joined(separator: ":")
    }

    /// What a segment is, for `known`.
    func item(_ segment: PhdcSegment, at now: UInt64) -> StoredItem {
        let arrays = waves(of: segment)
        let samples = arrays.map { Int(clamping: Int(segment.usage) * $0.count) }.max() ?? 0
        let persons = Set(
            segments.values.filter { $0.usage > 0 }.compactMap(\.person).filter { $0 != PhdcScanReport.nobody })
        return StoredItem(
            source: source(of: segment, at: now), start: segment.start,
            rawStart: segment.rawStart.map(PhdcClock.text), samples: samples, isShared: persons.count > 1,
            // Without an end, up to now for all that is known: its entries' own times come behind it.
            last: segment.end ?? (arrays.isEmpty && segment.period == nil ? clock?.time : end(of: segment, arrays)))
    }

    /// By its samples and their rate.
    private func end(of segment: PhdcSegment, _ arrays: [PhdcWave]) -> LocalTime? {
        let seconds = arrays.map { Double(segment.usage) * Double($0.count) / $0.channel.rate.value }.max() ?? 0
        guard seconds.isFinite, seconds < 1e9 else { return nil }
        return segment.start?.adding(seconds: Int(seconds))
    }

    /// The object that an element of an entry belongs to.
    private func object(_ element: PhdcSegment.Element) -> PhdcObject {
        var object =
            configuration?[element.handle] ?? PhdcObject(kind: element.kind, handle: element.handle, attributes: [])
        object.set(
            PhdcAttribute(
                PhdcAttributeID.type, long: UInt32(element.type.partition) << 16 | UInt32(element.type.code)))
        return object
    }

    private func waves(of segment: PhdcSegment) -> [PhdcWave] {
        var handles: Set<UInt16> = []
        let elements = segment.elements ?? []
        let waves = elements.filter { handles.insert($0.handle).inserted }.compactMap { PhdcWave(self.object($0)) }
        // A number beside each piece of a wave is the wave's; entries that say when they were made need not be at equal distances.
        guard waves.isEmpty, segment.headerLength == 0, let period = segment.period.flatMap({ Int(exactly: $0) }),
            handles.count == elements.count
        else { return waves }
        return elements.compactMap { PhdcWave(trend: self.object($0), $0.map, period: period) }
    }

    /// A portion of a segment (phdc.md 10.2).
    /// - Returns: what is to be done; what to answer; the status of that answer; whether the transfer is over.
    mutating func segmentData(
        _ event: PhdcEvent, at now: UInt64
    ) -> (actions: [DialogueAction], verdict: Verdict, reply: [UInt8], isOver: Bool) {
        let data: PhdcSegmentData
        do {
            data = try PhdcSegmentData(event.info)
        } catch {
            return (surprise("a segment's data can't be read: \(error)"), .malformed, [], false)
        }
        let key = PhdcSegmentKey(store: event.handle, instance: data.instance)
        var actions: [DialogueAction] = []
        if let transfer = open?.transfer, transfer.store == key.store, transfer.instance == key.instance {
        } else {
            actions += end(open?.transfer == nil ? .finished : .deviceEnded, isBefore: true, at: now)
            actions += begin(key, at: now)
        }
        guard var transfer = open?.transfer else { return (actions, .noSuchObject, [], true) }
        defer { if open != nil { open?.transfer = transfer } }
        let confirm = data.response(data.status | PhdcSegmentData.confirm)
        if data.index < transfer.received, data.count > 0 {
            // Our confirmation was lost: these are here already.
            actions += surprise("entries \(data.index) and after came again")
            return (actions, .accepted, confirm, false)
        }
        if data.index > transfer.received {
            transfer.isDamaged = true
            actions += note(.gap, "entries \(transfer.received) to \(data.index - 1) are missing")
            if !isListening {
                open?.transfer = transfer
                actions += end(.deviceEnded, at: now)
                return (actions, .accepted, data.response(PhdcSegmentData.hostAbort), true)
            }
        }
        let (said, read, whole) = entries(data, segments[key], at: now)
        actions += said
        // What a count claims beyond the entries that are there was never received.
        let (received, overflow) = data.index.addingReportingOverflow(read)
        transfer.isDamaged = transfer.isDamaged || !whole || overflow
        transfer.received = overflow ? .max : received
        open?.transfer = transfer
        open?.touch(at: now)
        // Durable before the answer goes out (phdc.md 5.4): the actions are carried out in this order.
        actions += flush(all: true, at: now)
        let isAborted = data.status & PhdcSegmentData.agentAbort != 0
        let isOver = isAborted || data.status & PhdcSegmentData.lastEntry != 0
        if isOver {
            let isComplete = !isAborted && !transfer.isDamaged && transfer.received >= transfer.announced
            if isAborted { actions += note(.device, "the device ended the transfer of the segment") }
            actions += end(isComplete ? .finished : .deviceEnded, at: now)
        }
        return (actions, .accepted, confirm, isOver)
    }

    private mutating func begin(_ key: PhdcSegmentKey, at now: UInt64) -> [DialogueAction] {
        let segment = segments[key]
        let waves = segment.map(waves) ?? []
        var types = (segment?.elements ?? []).map(\.type)
        if segment == nil { types = [] }
        let recording = PhdcOpenRecording(
            kind: .stored, person: segment?.person, waves: waves,
            transfer: PhdcTransfer(store: key.store, instance: key.instance, announced: segment?.usage ?? 0))
        var actions = begin(
            recording, Self.modality(of: types, waves), item: segment.map { item($0, at: now) })
        actions += note(.device, "store \(key.store), segment \(key.instance)")
        guard let segment else { return actions + surprise("a segment that was not described") }
        for attribute in segment.attributes {
            actions += note(
                .device,
                "segment attribute \(phdcHexadecimal(attribute.id)): \(PhdcObservation.shown(attribute.value))")
        }
        if segment.elements == nil { actions += surprise("the layout of a segment's entries is not known") }
        return actions
    }

    /// Returns what the entries say, how many they are, and whether they were all there and readable.
    private mutating func entries(
        _ data: PhdcSegmentData, _ segment: PhdcSegment?, at now: UInt64
    ) -> ([DialogueAction], UInt32, Bool) {
        guard let segment, let elements = segment.elements, let length = segment.entryLength, length > 0 else {
            // How many there are can't be counted here.
            return (surprise("\(data.entries.count) bytes of entries are kept as they are"), data.count, true)
        }
        var actions: [DialogueAction] = []
        let count = data.entries.count / length
        let isWhole = data.entries.count == count * length && count == Int(data.count)
        if !isWhole {
            actions += surprise(
                "\(data.entries.count) bytes are not \(data.count) entries of \(length): \(count) are read")
        }
        var reader = ByteReader(data.entries)
        var index = data.index
        var read: UInt32 = 0
        for _ in 0..<min(count, Int(data.count)) {
            do {
                let time = try segment.time(of: index, &reader, nameplate, at: now)
                for element in elements { actions += say(element, &reader, time, segment, at: now) }
            } catch {
                return (actions + surprise("entry \(index) can't be read: \(error)"), read, false)
            }
            open?.measurement += 1
            read += 1
            index &+= 1
        }
        return (actions, read, isWhole)
    }

    private mutating func say(
        _ element: PhdcSegment.Element, _ reader: inout ByteReader, _ time: PhdcReadingTime, _ segment: PhdcSegment,
        at now: UInt64
    ) -> [DialogueAction] {
        guard let raw = try? reader.bytes(element.length) else { return surprise("an entry is cut") }
        let object = self.object(element)
        let (attributes, problems) = PhdcObservation.split(Array(raw), element.map)
        let observation = PhdcObservation(attributes, of: object)
        var actions: [DialogueAction] = []
        for problem in problems + observation.problems { actions += surprise("object \(object.handle): \(problem)") }
        for attribute in observation.unknown {
            let value = PhdcObservation.shown(attribute.value)
            actions += surprise("object \(object.handle): attribute \(phdcHexadecimal(attribute.id)) = \(value)")
        }
        let own =
            observation.stamp.map { segment.time($0, nameplate, at: now) } ?? time
        let sequence = open?.measurement ?? 0
        let index = open?.wave(object.handle)
        let wave = index.flatMap { open?.waves[$0] }
        if let index, let wave, wave.isTrend {
            let sample = observation.values.first.flatMap { wave.sample($0.number) }
            open?.add([sample ?? .absent], to: index, at: now)
            // What the channel can't say is said beside it; the device's words for "no value" are an absent sample.
            guard sample == nil, observation.values.first?.number.ratio != nil else { return actions }
        }
        // A store that grew brings what it had before as well.
        let isKnown = isKnown(observation.values, own, segment.person, outside: source(of: segment, at: now))
        for value in observation.values where !isKnown {
            actions += say(value, object, own, sequence, segment.person, throttled: false, at: now)
        }
        for state in observation.states { actions += say(state, object, own) }
        if let samples = observation.samples {
            if let index, let wave {
                open?.add(wave.samples(samples), to: index, at: now)
            } else {
                actions += surprise("samples of object \(object.handle) can't be placed")
            }
        }
        return actions
    }
}
