import Clinical
import Wire

extension PhdcConversation {
    /// One observation, ready to be said.
    private struct Finding {
        var person: UInt16?
        var object: PhdcObject
        var observation: PhdcObservation
    }

    /// A scan report, from the device itself or from a scanner (phdc.md 8.1).
    mutating func report(
        _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> (actions: [DialogueAction], verdict: Verdict) {
        guard let (form, persons) = PhdcScanReport.form(of: event.type) else {
            return (surprise("event type \(phdcHexadecimal(event.type)) is unknown"), .noSuchEvent)
        }
        guard event.handle == 0 || configuration == nil || scanner(event.handle) != nil else {
            return (surprise("a report of object \(event.handle), which is no scanner"), .noSuchObject)
        }
        let report: PhdcScanReport
        do {
            report = try PhdcScanReport(event.info, form, persons: persons)
        } catch {
            return (surprise("a report can't be read: \(error)"), .malformed)
        }
        guard open?.transfer == nil else {
            return (surprise("a report in the middle of a segment's transfer"), .busy)
        }
        var actions: [DialogueAction] = []
        if report.surplus > 0 { actions += surprise("\(report.surplus) bytes behind a report's list") }
        if configuration == nil { actions += assume(report) }
        var findings: [Finding] = []
        for item in report.items {
            let (found, more) = self.findings(in: item, of: event.handle)
            findings += found
            actions += more
        }
        actions += count(report, from: event.handle, at: now)
        actions += say(findings, event, confirmed: confirmed, at: now)
        if confirmed { actions += flush(all: false, at: now) }
        return (actions + flushIfDue(at: now), .accepted)
    }

    private func scanner(_ handle: UInt16) -> PhdcObject? {
        configuration?[handle].flatMap { PhdcClass.isScanner($0.kind) ? $0 : nil }
    }

    // MARK: Taking apart

    private mutating func findings(
        in item: PhdcScanReport.Item, of source: UInt16
    ) -> ([Finding], [DialogueAction]) {
        switch item.content {
        case .fixed(let handle, let data):
            guard let configuration else { return guess(handle, data, item.person) }
            guard let object = configuration[handle] else {
                return ([], surprise("object \(handle) was never announced: \(PhdcObservation.shown(data))"))
            }
            // A scanner's map is made for grouped reports; published agents lay out its fixed ones by the object's own.
            let maps = [scanner(source)?.scannerMap?.first { $0.handle == handle }?.map, object.map].compactMap(\.self)
            let fitting = maps.first { $0.reduce(0) { $0 + Int($1.length) } == data.count }
            guard let map = fitting ?? maps.first else {
                return ([], surprise("object \(handle) has no value map: \(PhdcObservation.shown(data))"))
            }
            return finding(object, PhdcObservation.split(data, map), item.person)
        case .variable(let handle, let attributes):
            guard let object = configuration?[handle] else {
                guard configuration == nil else {
                    return ([], surprise("object \(handle) was never announced, \(attributes.count) attributes"))
                }
                return finding(
                    PhdcObject(kind: PhdcClass.numeric, handle: handle, attributes: []), (attributes, []), item.person)
            }
            let (found, actions) = finding(object, (attributes, []), item.person)
            return (found, actions + change(handle, found.flatMap(\.observation.changes)))
        case .grouped(let data):
            guard let map = scanner(source)?.scannerMap else {
                return ([], surprise("a grouped report without a map: \(PhdcObservation.shown(data))"))
            }
            return grouped(data, map, item.person)
        }
    }

    private mutating func grouped(
        _ data: [UInt8], _ map: [(handle: UInt16, map: [PhdcMapEntry])], _ person: UInt16?
    ) -> ([Finding], [DialogueAction]) {
        var reader = ByteReader(data)
        var findings: [Finding] = []
        var actions: [DialogueAction] = []
        for (handle, entries) in map {
            let length = entries.reduce(0) { $0 + Int($1.length) }
            guard let part = try? reader.bytes(length) else {
                return (findings, actions + surprise("a grouped report is shorter than its map"))
            }
            guard let object = configuration?[handle] else {
                actions += surprise("object \(handle) was never announced: \(PhdcObservation.shown(part))")
                continue
            }
            let (found, more) = finding(object, PhdcObservation.split(Array(part), entries), person)
            findings += found
            actions += more
        }
        if !reader.isAtEnd { actions += surprise("\(reader.remaining) bytes behind a grouped report") }
        return (findings, actions)
    }

    private mutating func finding(
        _ object: PhdcObject, _ parts: (attributes: [PhdcAttribute], problems: [String]), _ person: UInt16?
    ) -> ([Finding], [DialogueAction]) {
        let observation = PhdcObservation(parts.attributes, of: object)
        var actions: [DialogueAction] = []
        for problem in parts.problems + observation.problems {
            actions += surprise("object \(object.handle): \(problem)")
        }
        for attribute in observation.unknown {
            let value = PhdcObservation.shown(attribute.value)
            actions += surprise("object \(object.handle): attribute \(phdcHexadecimal(attribute.id)) = \(value)")
        }
        var current = object
        for attribute in observation.changes { current.set(attribute) }
        return ([Finding(person: person, object: current, observation: observation)], actions)
    }

    /// The beginning of a foreign conversation wasn't heard: when one standard configuration fits, and only one, and all of its objects
    /// are there, it is that. Part of it could be anything: then nothing is said of what the values are.
    private mutating func assume(_ report: PhdcScanReport) -> [DialogueAction] {
        let fitting = (PhdcConfiguration.known + [0x06A4]).compactMap(PhdcConfiguration.standard).filter { standard in
            report.items.allSatisfy { item in
                guard case .fixed(let handle, let data) = item.content else { return false }
                return standard[handle]?.map?.reduce(0) { $0 + Int($1.length) } == data.count
            }
        }
        let handles = Set(
            report.items.compactMap { if case .fixed(let handle, _) = $0.content { handle } else { nil } })
        guard fitting.count == 1, let only = fitting.first, only.objects.allSatisfy({ handles.contains($0.handle) })
        else { return [] }
        configure(only)
        return surprise("the configuration was not heard; only the standard one \(phdcHexadecimal(only.id)) fits")
    }

    /// Only a foreign conversation of which the beginning wasn't heard: the data alone say what they can be.
    private mutating func guess(
        _ handle: UInt16, _ data: [UInt8], _ person: UInt16?
    ) -> ([Finding], [DialogueAction]) {
        typealias ID = PhdcAttributeID
        let isStamped = data.count >= 10 && PhdcClock.absolute(data.suffix(8)) != nil
        let value = isStamped ? data.count - 8 : data.count
        let isCompound =
            value >= 6 && value == 4 + 2 * Int(data[1]) && data[0] == 0 && data[2] == 0
            && Int(data[3]) == 2 * Int(data[1])
        var map: [PhdcMapEntry]
        switch value {
        case 2: map = [PhdcMapEntry(attribute: ID.basicValue, length: 2)]
        case 4: map = [PhdcMapEntry(attribute: ID.simpleValue, length: 4)]
        case _ where isCompound: map = [PhdcMapEntry(attribute: ID.basicCompound, length: UInt16(value))]
        default: return ([], surprise("object \(handle) of an unheard configuration: \(PhdcObservation.shown(data))"))
        }
        if isStamped { map.append(PhdcMapEntry(attribute: ID.timeStamp, length: 8)) }
        let object = PhdcObject(kind: PhdcClass.numeric, handle: handle, attributes: [])
        let (found, actions) = finding(object, PhdcObservation.split(data, map), person)
        return (found, actions + surprise("object \(handle): the configuration was not heard, its form was guessed"))
    }

    /// Attributes that a report changes for good (phdc.md 8.2). Other samples are another recording.
    private mutating func change(_ handle: UInt16, _ changes: [PhdcAttribute]) -> [DialogueAction] {
        guard let index = configuration?.objects.firstIndex(where: { $0.handle == handle }) else { return [] }
        for attribute in changes { configuration?.objects[index].set(attribute) }
        return []
    }

    // MARK: Saying

    private mutating func say(
        _ findings: [Finding], _ event: PhdcEvent, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        var persons: [UInt16?] = []
        for finding in findings where !persons.contains(finding.person) { persons.append(finding.person) }
        self.persons.formUnion(persons.compactMap { $0 == PhdcScanReport.nobody ? nil : $0 })
        var isNew = false
        for person in persons {
            // Several readings of one moment are one measurement, unless one of them is of the same thing: then another one begins.
            var measurements: [String: Int] = [:]
            var told: [String: Set<String>] = [:]
            for finding in findings where finding.person == person {
                var stamp = PhdcReadingTime(finding.observation.stamp, nameplate, at: now)
                if isAhead(stamp, at: now) { stamp.flags.append("later than the device's clock") }
                if let item = known(finding, stamp, person) {
                    actions.append(.skipped(item))
                    continue
                }
                isNew = true
                actions += prepare(
                    for: person, stamp, isWave: finding.observation.samples != nil, confirmed: confirmed, at: now)
                let key = stamp.raw ?? "none"
                let names = Set(
                    finding.observation.values.map { "\(finding.object.handle) \($0.code.map { "\($0)" } ?? "")" })
                if !told[key, default: []].isDisjoint(with: names) {
                    measurements[key] = nil
                    told[key] = nil
                }
                told[key, default: []].formUnion(names)
                if measurements[key] == nil, let next = open?.measurement {
                    measurements[key] = next
                    open?.measurement += 1
                }
                let sequence = measurements[key] ?? 0
                for value in finding.observation.values {
                    actions += say(value, finding.object, stamp, sequence, person, throttled: !confirmed, at: now)
                }
                for state in finding.observation.states { actions += say(state, finding.object, stamp) }
                if let samples = finding.observation.samples {
                    actions += add(samples, finding.object, finding.observation.stamp, event, at: now)
                }
                open?.touch(at: now)
            }
        }
        if !findings.isEmpty, !isNew { giveToNobody() }
        return actions
    }

    /// Measured before the session began: the device kept it until somebody came. Whose it is, is a matter of its time, as with
    /// everything out of a memory. Without a date it is of this moment (who stores has to stamp: phdc.md 8.1).
    private func isKept(_ stamp: PhdcReadingTime, at now: UInt64) -> Bool {
        guard !isListening else { return false }
        if stamp.counted != nil {
            // A count that nothing tells the age of is no reason to take it for this moment's.
            guard let age = stamp.age, let read = nameplate.clocksReadAt, let began else { return true }
            return age > Int((read - min(began, read)) / Self.second) + PhdcNameplate.clockGrain
        }
        guard let measured = stamp.at else { return false }
        // A date with nothing to compare it with is no reason to take it for today's.
        guard let clock, let began else { return true }
        let beginning = clock.time.civilSeconds - Int((clock.at - min(began, clock.at)) / Self.second)
        // The last patient's visit may have been a minute ago: only a clock that shows no seconds may be that wrong.
        let grain = measured.second == 0 && clock.time.second == 0 ? PhdcNameplate.clockGrain : 2
        return measured.civilSeconds < beginning - grain || isAhead(stamp, at: now)
    }

    /// By a date that the device's own clock has not reached: it was set back since, and when that was is anybody's guess.
    private func isAhead(_ stamp: PhdcReadingTime, at now: UInt64) -> Bool {
        guard !isListening, stamp.counted == nil, let measured = stamp.at, let clock else { return false }
        let elapsed = Int((now - min(clock.at, now)) / Self.second)
        return measured.civilSeconds > clock.time.civilSeconds + elapsed + PhdcNameplate.clockGrain
    }

    /// Seconds between two measurements of one sitting. Further apart, they may be two people's: a loan ended in between, or the nurse went
    /// to the next bed.
    private static let sitting = 120

    /// Everything in it was brought by an earlier session; a device that gets no answer reports it again.
    private func known(_ finding: Finding, _ stamp: PhdcReadingTime, _ person: UInt16?) -> StoredItem? {
        let observation = finding.observation
        guard observation.samples == nil, isKnown(observation.values, stamp, person) else { return nil }
        let source = observation.values.first.flatMap { reading($0, stamp, 0, person, flags: [])?.source }
        return StoredItem(source: source ?? "", start: stamp.at, rawStart: stamp.raw, samples: 0)
    }

    /// A recording for this person, with the channels as they are configured now.
    private mutating func prepare(
        for person: UInt16?, _ stamp: PhdcReadingTime, isWave: Bool, confirmed: Bool, at now: UInt64
    ) -> [DialogueAction] {
        let waves = (configuration?.objects ?? []).compactMap(PhdcWave.init)
        // What streams (a wave, and what comes beside it) is of this moment: nobody would hear whether it had arrived.
        let isStream = !confirmed && (isWave || !waves.isEmpty)
        let isKept = !isStream && isKept(stamp, at: now)
        // Of several people, and what nobody can date: whose it is, is a matter of somebody who remembers.
        let isUndatable = stamp.at == nil && stamp.age == nil || isAhead(stamp, at: now)
        // Who keeps people apart was made for several. What is measured now is of whoever is there; what was kept may be anybody's, and
        // the others' may still come.
        let isSomebodys = person != nil && person != PhdcScanReport.nobody
        let isShared = !isListening && (persons.count > 1 || isKept && (isUndatable || isSomebodys))
        let kind: Recording.Kind = isKept ? .stored : .live
        if let open, open.person == person, open.waves == waves, open.kind == kind, open.isShared == isShared,
            open.transfer == nil
        {
            guard isKept, let measured = stamp.moment, let latest = open.latest else {
                give()
                return []
            }
            if measured.isWithin(Self.sitting, of: latest) {
                if measured.seconds > latest.seconds { self.open?.latest = measured }
                give()
                return []
            }
        }
        var item: StoredItem?
        if isKept || isShared {
            // It can't be asked for again: in another session, and after another one in this, it is another recording.
            let parts = [
                Phdc.name, nameplate.systemName ?? "", "report", stamp.raw?.filter { $0 != " " } ?? "",
                "\(began ?? now)",
            ]
            sharings += isKept ? 0 : 1
            item = StoredItem(
                source: parts.joined(separator: ":") + (isKept ? "" : ":live-\(sharings)"),
                start: isKept ? stamp.at : nil, rawStart: isKept ? stamp.raw : nil, samples: 0,
                isShared: isShared, ago: stamp.at == nil && isKept ? ago(stamp, at: now) : nil)
        }
        // Another person's, or another scale: never in the same recording.
        var recording = PhdcOpenRecording(kind: kind, person: person, waves: waves)
        recording.latest = isKept ? stamp.moment : nil
        recording.isShared = isShared
        let actions =
            end(.finished, isBefore: true, at: now)
            + begin(recording, Self.modality(of: (configuration?.objects ?? []).compactMap(\.type), waves), item: item)
        giveAgain()
        return actions
    }

    /// Seconds since what a counter counted, when there is no calendar to say it by.
    private func ago(_ stamp: PhdcReadingTime, at now: UInt64) -> Int? {
        guard let age = stamp.age, let read = nameplate.clocksReadAt else { return nil }
        return age + Int((now - min(read, now)) / Self.second)
    }

    static func modality(of types: [PhdcCode], _ waves: [PhdcWave]) -> Recording.Modality {
        if types.contains(where: { PhdcNomenclature.lead($0) != nil }), !waves.isEmpty { return .ecg }
        if waves.contains(where: { [.plethysmogram, .spo2].contains($0.channel.signal) }) { return .oximetry }
        return types.contains(PhdcCode(PhdcCode.scada, 0x4A04)) ? .bloodPressure : .vitals
    }

    // MARK: Samples and gaps

    /// Numbers that were left out mean reports that were lost.
    private mutating func count(_ report: PhdcScanReport, from source: UInt16, at now: UInt64) -> [DialogueAction] {
        let key = UInt32(source) << 16 | UInt32(report.request)
        defer { if numbers.count < 64 || numbers[key] != nil { numbers[key] = report.number } }
        guard let last = numbers[key], report.number != last &+ 1 else { return [] }
        // A device that does not count is not losing anything.
        guard report.number != last else { return [] }
        let missing = report.number &- last &- 1
        let text = missing < 0x8000 ? "\(missing) reports are missing" : "report numbers begin anew"
        guard open?.waves.isEmpty == false, missing < 0x8000 else { return surprise(text) }
        let actions = flush(all: true, isBefore: true, at: now)
        open?.gap = text
        stamps = [:]
        return actions
    }

    private mutating func add(
        _ raw: [UInt8], _ object: PhdcObject, _ stamp: PhdcObservation.Stamp?, _ event: PhdcEvent, at now: UInt64
    ) -> [DialogueAction] {
        guard let index = open?.wave(object.handle), let wave = open?.waves[index] else {
            return surprise("samples of object \(object.handle) can't be placed: \(PhdcObservation.shown(raw))")
        }
        var actions: [DialogueAction] = []
        let samples = wave.samples(raw)
        if case .relative(let ticks) = stamp {
            if let expected = stamps[object.handle] {
                let off = Int(Int32(bitPattern: ticks &- expected))
                if abs(off) > 1, open?.gap == nil {
                    actions += flush(all: true, at: now)
                    open?.gap =
                        off > 0
                        ? "\(Double(off) / 8000) s are missing" : "time stamps go back by \(Double(-off) / 8000) s"
                }
            }
            stamps[object.handle] = ticks &+ UInt32(truncatingIfNeeded: samples.count * wave.period)
        }
        open?.add(samples, to: index, at: now)
        return actions
    }
}
