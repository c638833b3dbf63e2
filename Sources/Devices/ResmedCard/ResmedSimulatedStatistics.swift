import Clinical

/// `STR.edf` with the signals of a real AirSense 10 in their order (devices.md 4.7), one record for each day from the first
/// to the last that has a session.
struct ResmedSimulatedStatistics {
    var card: ResmedSimulatedCard

    private struct Label {
        var name: String
        var unit = ""
        var high = "100.00"
        var steps = 100
        var count = 1
    }

    private static let labels: [Label] = {
        func plain(_ names: [String]) -> [Label] { names.map { Label(name: $0) } }
        func pressure(_ name: String) -> [Label] {
            ["50", "95", "Max"].map { Label(name: "\(name).\($0)", unit: "cmH2O", high: "50.00", steps: 2500) }
        }
        var labels = [Label(name: "Date", unit: "days", high: "32767", steps: 32767)]
        labels += ["MaskOn", "MaskOff"].map { Label(name: $0, unit: "min", high: "1440", steps: 1440, count: 10) }
        labels += ["MaskEvents", "Duration", "OnDuration"].map {
            Label(name: $0, unit: "min", high: "1440", steps: 1440)
        }
        labels += [Label(name: "PatientHours", unit: "hours", high: "32767", steps: 32767)]
        labels += plain([
            "Mode", "S.RampEnable", "S.RampTime", "S.C.StartPress", "S.C.Press", "S.EPR.ClinEnable", "S.EPR.EPREnable",
            "S.EPR.Level", "S.EPR.EPRType", "S.AS.StartPress", "S.AS.MaxPress", "S.AS.MinPress", "S.SmartStart",
            "S.PtAccess", "S.ABFilter", "S.Mask", "S.Tube", "S.ClimateControl", "S.HumEnable", "S.HumLevel",
            "S.TempEnable",
        ])
        labels += [Label(name: "S.Temp", unit: "°C")]
        labels += plain([
            "HeatedTube", "Humidifier", "BlowPress.95", "BlowPress.5", "Flow.95", "Flow.5", "BlowFlow.50",
            "AmbHumidity.50",
        ])
        labels += [Label(name: "HumTemp.50", unit: "°C"), Label(name: "HTubeTemp.50", unit: "°C")]
        labels += plain(["HTubePow.50", "HumPow.50", "SpO2.50", "SpO2.95", "SpO2.Max", "SpO2Thresh"])
        for name in ["MaskPress", "TgtIPAP", "TgtEPAP"] { labels += pressure(name) }
        labels += ["50", "95", "70", "Max"].map { Label(name: "Leak.\($0)", unit: "L/s", high: "2.00", steps: 100) }
        for name in ["MinVent", "RespRate", "TidVol"] {
            labels += ["50", "95", "Max"].map { Label(name: "\(name).\($0)") }
        }
        labels += ["AHI", "HI", "AI", "OAI", "CAI", "UAI", "RIN"].map {
            Label(name: $0, unit: "/hr", high: "240.00", steps: 2400)
        }
        labels += [Label(name: "CSR", unit: "min", high: "1440", steps: 1440)]
        labels += plain(["Fault.Device", "Fault.Alarm", "Fault.Humidifier", "Fault.HeatedTube"])
        return labels
    }()

    func bytes() -> [UInt8] {
        let days = Dictionary(grouping: card.sessions.filter { $0.minutes > 0 }) { ResmedLayout.day(of: $0.start) }
        let all = card.sessions.map { ResmedLayout.day(of: $0.start) }
        guard let first = all.min(), let last = all.max(), let noon = LocalTime(civilSeconds: first * 86_400 + 43_200)
        else {
            return writer(LocalTime(civilSeconds: 43_200)).bytes([])
        }
        return writer(noon).bytes(
            (first...last).map { day in
                let values = values(day, sessions: days[day] ?? [])
                return ResmedWriter.record(
                    Self.labels.map { label in
                        let own = values[label.name] ?? []
                        return (own + [Int](repeating: -1, count: label.count)).prefix(label.count).map { $0 }
                    })
            })
    }

    private func writer(_ start: LocalTime?) -> ResmedWriter {
        let start = start ?? card.sessions.first?.start
        guard let start else { preconditionFailure("a card has sessions, or a first day") }
        return card.writer(
            "EDF", duration: "86400.00", start: start,
            signals: Self.labels.map {
                .init(
                    label: $0.name, unit: $0.unit, physical: ("0", $0.high), digital: (0, $0.steps), perRecord: $0.count
                )
            })
    }

    private func values(_ day: Int, sessions: [ResmedSimulatedCard.Session]) -> [String: [Int]] {
        let minutes = sessions.reduce(0) { $0 + $1.minutes }
        let events = sessions.reduce(0) { $0 + $1.apnoeas } + (card.fault == .otherIndex ? 40 : 0)
        func index(_ count: Int) -> Int { minutes == 0 ? -1 : (count * 600 + minutes / 2) / minutes }
        let on = sessions.map { ($0.start.civilSeconds - day * 86_400 - 43_200) / 60 }
        return [
            "Date": [day], "MaskOn": on, "MaskOff": zip(on, sessions).map { $0 + $1.minutes },
            "MaskEvents": [2 * sessions.count], "Duration": [minutes], "OnDuration": [minutes],
            "Leak.50": [2], "Leak.95": minutes == 0 ? [-1] : [4], "AHI": [index(events)], "AI": [index(events)],
        ]
    }
}
