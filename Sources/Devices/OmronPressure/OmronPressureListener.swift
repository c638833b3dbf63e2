import Clinical

/// Understands a conversation that somebody else leads, in any order of modes and commands (devices.md 5.2, 5.3). What it
/// heard becomes recordings at the end: one for each bank, and one for each bank's weekly averages.
struct OmronPressureListener: Listener {
    private enum Place: Hashable {
        case measurements(UInt8)
        case averages(UInt8)
    }

    private var nameplate = OmronPressureNameplate()
    private var replies = OmronPressureReplies()
    /// What the host has sent of a command.
    private var partial: [UInt8] = []
    /// The command whose answer is awaited.
    private var asked: OmronPressureCommand?
    private var memories: [Place: BloodPressureMemory] = [:]
    /// In the order of their first appearance.
    private var places: [Place] = []
    /// Whose bytes come now.
    private var current: Place?
    /// Before anything of a bank came.
    private var leadIn: [UInt8] = []

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for report in OmronPressureReport.split(bytes) {
            // A request on the control endpoint, or another device's.
            guard let content = OmronPressureReport.content(report), !content.isEmpty else { continue }
            if content.count == 7 && content.allSatisfy({ $0 == 0 }) { partial = [] }
            if partial.isEmpty, content.allSatisfy({ $0 == 0 }) {
                // The clearing block.
                actions += concluded()
                asked = nil
                replies.replyLength = nil
                continue
            }
            partial += content
            let length = OmronPressureCommand.length(of: partial[...])
            guard length.map({ partial.count >= $0 }) ?? (content.count < 7) else { continue }
            actions += concluded()
            if let command = OmronPressureCommand(message: Array(partial.prefix(length ?? partial.count))) {
                ask(command)
            } else {
                actions.append(.surprise("a message from the host that is no command"))
            }
            partial = []
        }
        return actions
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for report in OmronPressureReport.split(bytes) {
            keep(report)
            for reply in replies.take(report) { actions += heard(reply) }
        }
        return actions
    }

    /// Nothing more comes of what was asked last.
    private mutating func concluded() -> [DialogueAction] {
        defer { replies.forget() }
        return replies.conclude().map { heard($0) } ?? []
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        var actions = concluded()
        if nameplate.version != nil || nameplate.isElite
            || memories.values.contains(where: { !$0.measurements.isEmpty })
        {
            actions.append(.identify(nameplate.identity))
        }
        for place in places {
            guard var memory = memories[place] else { continue }
            guard !memory.measurements.isEmpty else {
                leadIn += memory.raw
                continue
            }
            memory.precede(with: leadIn)
            leadIn = []
            actions += memory.recording(
                driver: OmronPressure.name, device: nameplate.identity.sourceName, reason: .finished, at: now)
        }
        memories = [:]
        places = []
        return actions
    }

    private mutating func ask(_ command: OmronPressureCommand) {
        asked = command
        replies.replyLength = command.replyLength
        let bank = command.data.count > 1 ? command.data[1] : 0
        switch command.letters {
        case "GDC", "GME": open(.measurements(bank))
        case "GMA", "GEA": open(.averages(bank))
        case "CNT", "MES": open(.measurements(0))
        default: break
        }
    }

    private mutating func open(_ place: Place) {
        current = place
        guard memories[place] == nil else { return }
        places.append(place)
        switch place {
        case .measurements(let bank): memories[place] = BloodPressureMemory(bank: Int(bank))
        case .averages(let bank): memories[place] = BloodPressureMemory(bank: Int(bank), section: "averages")
        }
    }

    private mutating func keep(_ report: ArraySlice<UInt8>) {
        if let current {
            memories[current]?.add(raw: report)
        } else if leadIn.count < BloodPressureMemory.mostBytes {
            leadIn += report
        }
    }

    private mutating func heard(_ reply: OmronPressureReply) -> [DialogueAction] {
        switch reply {
        // The clearing block's, or the first half of the farewell; and what the host asks for again by itself.
        case .acknowledged, .notReady, .off: return []
        case .garbled: return [.surprise("a garbled report")]
        case .data(let payload):
            defer { asked = nil }
            return understood(payload)
        }
    }

    private mutating func understood(_ payload: [UInt8]) -> [DialogueAction] {
        let letters = asked?.letters ?? guess(payload)
        let place = current
        switch letters {
        case "VER":
            // A version that is cut short by a lost report has no right checksum and doesn't come here.
            nameplate.take(version: payload)
            return []
        case "PRF": return []
        case "GCL": return LocalTime(omron: payload).map { [.deviceClock($0)] } ?? []
        case "SRL":
            nameplate.take(serial: payload)
            return []
        case "GDC":
            guard payload.count >= 4, let place else { break }
            memories[place]?.announced = Int(payload[3])
            return []
        case "CNT":
            guard payload.count >= 2, let place else { break }
            nameplate.isElite = true
            memories[place]?.announced = Int(payload[1])
            return []
        case "GME", "MES":
            guard let measurement = BloodPressureMeasurement(omron: payload) else { break }
            if letters == "MES" { nameplate.isElite = true }
            if place == nil { open(.measurements(0)) }
            if let current { memories[current]?.add(measurement) }
            return []
        case "GMA", "GEA":
            guard payload.count == 8, let place else { break }
            if let average = BloodPressureMeasurement(omronAverage: payload, isMorning: letters == "GMA") {
                memories[place]?.add(average)
            }
            return []
        default: break
        }
        return [.surprise("an answer of \(payload.count) bytes to \(letters ?? "nothing")")]
    }

    /// When only the device was heard: a measurement and the version are unmistakable by their length.
    private func guess(_ payload: [UInt8]) -> String? {
        if payload.count == 13, BloodPressureMeasurement(omron: payload)?.at != nil { return "GME" }
        return payload.first == 0x4D && payload.allSatisfy { 0x20..<0x7F ~= $0 } ? "VER" : nil
    }
}
