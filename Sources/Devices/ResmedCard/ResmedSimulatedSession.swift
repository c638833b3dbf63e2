import Clinical

/// One session's files: breathing at 15 a minute with flat stretches that end where the events say.
struct ResmedSimulatedSession {
    var card: ResmedSimulatedCard
    var session: ResmedSimulatedCard.Session
    var fault: ResmedSimulatedCard.Fault

    /// Seconds from therapy start to mask on.
    static let delay = 8
    /// Seconds of an apnoea.
    static let apnoea = 12

    /// Ends of the apnoeas, seconds from mask on.
    var ends: [Int] {
        let span = session.minutes * 60
        return (0..<max(0, session.apnoeas)).map { span * (2 * $0 + 1) / (2 * session.apnoeas) + Self.apnoea / 2 }
    }

    /// Suffix, start of the file, bytes.
    func files() -> [(String, LocalTime, [UInt8])] {
        guard let therapy = LocalTime(civilSeconds: session.start.civilSeconds - Self.delay) else { return [] }
        var files: [(String, LocalTime, [UInt8])] = [("BRP", session.start, breathing())]
        if fault != .noStatisticsFile { files.append(("PLD", session.start, statistics())) }
        files.append((card.model == .airSense11 ? "SA2" : "SAD", session.start, oximetry()))
        files.append(("EVE", therapy, events(therapy)))
        if card.model != .s9 { files.append(("CSL", therapy, spans(therapy))) }
        return files
    }

    private var minutes: Int { fault == .noRecords ? 0 : max(0, session.minutes) }

    private func isApnoea(_ seconds: Double) -> Bool {
        ends.contains { seconds >= Double($0 - Self.apnoea) && seconds < Double($0) }
    }

    /// Flow in steps of 0.002 L/s: up to 0.5 L/s in, 0.33 out. Only multiplication and addition, so that it is the same
    /// everywhere.
    private func flow(_ seconds: Double) -> Int {
        guard !isApnoea(seconds) else { return 0 }
        let phase = seconds / 4 - (seconds / 4).rounded(.down)
        let isIn = phase < 0.4
        let part = isIn ? phase / 0.4 : (phase - 0.4) / 0.6
        return Int((part * (1 - part) * (isIn ? 1000 : -660)).rounded())
    }

    private func breathing() -> [UInt8] {
        let french = fault == .frenchLabels
        let writer = card.writer(
            "EDF", duration: "60.00", start: session.start,
            signals: [
                .init(
                    label: "Flow.40ms", unit: "L/s", physical: ("-2.00", "3.00"), digital: (-1000, 1500),
                    perRecord: 1500),
                .init(
                    label: french ? "Pression" : "Press.40ms", unit: "cmH2O", physical: ("0.00", "40.00"),
                    digital: (0, 2000),
                    perRecord: 1500),
            ])
        let records = (0..<minutes).map { minute in
            let values = (0..<1500).map { flow(Double(minute * 60) + Double($0) / 25) }
            return ResmedWriter.record([values, values.map { 500 - $0 / 10 }])
        }
        var bytes = writer.bytes(records, announced: fault == .recordsUnknown ? -1 : nil)
        let header = 256 * 4
        let size = 2 * 3001
        switch fault {
        case .flippedData where minutes > 1: bytes[header + size + 700] ^= 0x10
        case .flippedHeader: bytes[200] ^= 0x01
        case .cutRecord where minutes > 1: bytes.removeLast(size / 3)
        default: break
        }
        return bytes
    }

    private func statistics() -> [UInt8] {
        let french = fault == .frenchLabels
        func signal(
            _ label: String, _ translated: String, _ unit: String, _ high: String, _ steps: Int
        ) -> ResmedWriter.Signal {
            .init(
                label: french ? translated : label, unit: unit, physical: ("0.00", high), digital: (0, steps),
                perRecord: 30)
        }
        let old = card.model != .airSense11
        let writer = card.writer(
            "EDF", duration: "60.00", start: session.start,
            signals: [
                signal("MaskPress.2s", "Mask Pres", "cmH2O", "40.00", 2000),
                signal("Press.2s", "Therapy Pres", "cmH2O", old ? "30.00" : "50.00", old ? 1500 : 2500),
                signal("EprPress.2s", "Exp Press", "cmH2O", "30.00", 1500),
                signal("Leak.2s", "Fuites", "L/s", "2.00", 100),
                signal("RespRate.2s", "FR", "bpm", old ? "50.00" : "90.00", old ? 250 : 450),
                signal("TidVol.2s", "VC", "L", "4.00", 200), signal("MinVent.2s", "VM", "L/min", "30.00", 240),
                signal("Snore.2s", "Snore", "", "5.00", 250), signal("FlowLim.2s", "FFL Index", "", "1.00", 100),
            ])
        return writer.bytes(
            (0..<minutes).map { minute in
                let quiet = (0..<30).map { isApnoea(Double(minute * 60 + 2 * $0)) }
                func each(_ breathing: Int, _ apnoea: Int) -> [Int] { quiet.map { $0 ? apnoea : breathing } }
                return ResmedWriter.record([
                    each(500, 500), each(500, 500), each(400, 400), each(2, 1), each(75, 75), each(26, 0), each(62, 0),
                    each(0, 0), each(5, 40),
                ])
            })
    }

    /// All -1 without an oximeter, as real machines write it; with one, a fall of six points after each apnoea.
    private func oximetry() -> [UInt8] {
        let french = fault == .frenchLabels
        let low = card.model == .airSense11 ? 0 : 18
        let writer = card.writer(
            "EDF", duration: "60.00", start: session.start,
            signals: [
                .init(
                    label: french ? "Pouls" : "Pulse.1s", unit: "bpm", physical: ("\(low).00", "300.00"),
                    digital: (low, 300),
                    perRecord: 60),
                .init(label: "SpO2.1s", unit: "%", physical: ("0.00", "100.00"), digital: (0, 100), perRecord: 60),
            ])
        return writer.bytes(
            (0..<minutes).map { minute in
                guard session.oximeter else { return [UInt8](repeating: 0xFF, count: 240) }
                let fallen = (0..<60).map { second in
                    ends.contains { (10..<30).contains(minute * 60 + second - $0) }
                }
                return ResmedWriter.record([fallen.map { $0 ? 72 : 64 }, fallen.map { $0 ? 89 : 95 }])
            })
    }

    private func events(_ start: LocalTime) -> [UInt8] {
        let kinds = ["Obstructive Apnea", "Central Apnea", "Hypopnea"]
        var bytes = annotations(
            start, size: card.model == .airSense11 ? 62 : 38,
            ends.enumerated().map { index, end in
                let text = kinds[index % kinds.count]
                // Hypopnoeas have no duration on an AirSense 11.
                return (end + Self.delay, text == "Hypopnea" ? 0 : Self.apnoea, text)
            })
        // The last byte of the second record's annotation.
        if fault == .flippedEvent, !ends.isEmpty { bytes[bytes.count - 8] ^= 0x20 }
        return bytes
    }

    private func spans(_ start: LocalTime) -> [UInt8] {
        annotations(start, size: card.model == .airSense11 ? 62 : 30, [])
    }

    private func annotations(_ start: LocalTime, size: Int, _ events: [(Int, Int, String)]) -> [UInt8] {
        let writer = card.writer(
            "EDF+D", duration: "0.00", start: start,
            signals: [
                .init(
                    label: "EDF Annotations", physical: ("-32768", "32767"), digital: (-32768, 32767),
                    perRecord: size / 2)
            ])
        return writer.bytes(
            ([(0, 0, "Recording starts")] + events).map { onset, duration, text in
                ResmedWriter.annotation(onset: onset, duration: duration, text: text, size: size)
            })
    }
}
