import Clinical
import Formats
import Foundation
import Testing

@Suite struct QualityTests {
    private let rate = 500

    /// Beats at 72/min as triangles, one sample a microvolt; each lead its own height.
    private func ecg(_ heights: [(Channel.Signal, String, Double)], seconds: Int) -> Waveform {
        let channels = heights.map { signal, name, _ in
            Channel(
                signal: signal, name: name, unit: "uV", rate: Ratio(rate), scale: Ratio(1), range: -5000...5000,
                calibration: .verified)
        }
        let samples = heights.map { _, _, height in
            (0..<seconds * rate).map { index -> Sample in
                let phase = index % 417
                let peak = max(0, 1 - abs(Double(phase - 100)) / 15)
                let wave = max(0, 1 - abs(Double(phase - 220)) / 50) * 0.2
                return Sample(((peak + wave) * height).rounded()) + Sample(index % 3)
            }
        }
        return Waveform(channels: channels, samples: samples)
    }

    private let twelve: [(Channel.Signal, String, Double)] = [
        (.ecgI, "I", 900), (.ecgII, "II", 1200), (.ecgAVR, "aVR", -1000), (.ecgV1, "V1", -800), (.ecgV6, "V6", 1100),
    ]

    @Test func aGoodSignalHasNoHints() {
        #expect(QualityMonitor.hints(of: ecg(twelve, seconds: 30)).isEmpty)
        #expect(QualityMonitor.hints(of: Waveform(channels: [], samples: [])).isEmpty)
    }

    @Test func hum() throws {
        for frequency in [50, 60] {
            var wave = ecg(twelve, seconds: 20)
            for index in 5 * rate..<12 * rate {
                wave.samples[1][index] += Sample(
                    (60 * sin(2 * .pi * Double(frequency) * Double(index) / Double(rate))).rounded())
            }
            let hints = QualityMonitor.hints(of: wave)
            let hint = try #require(hints.first)
            #expect(hints.count == 1 && hint.kind == .mainsHum && hint.frequency == frequency)
            #expect(hint.channels == ["II"] && hint.at == 5 && hint.duration == 7)
            #expect(abs((hint.value ?? 0) - 60) < 4)
        }
    }

    @Test func leadsWithoutAValueOrFlat() {
        var wave = ecg(twelve, seconds: 10)
        for index in 2 * rate..<4 * rate { wave.samples[3][index] = .absent }
        for index in 2 * rate..<4 * rate { wave.samples[4][index] = 17 }
        let hints = QualityMonitor.hints(of: wave)
        #expect(hints == [QualityHint(kind: .leadOff, channels: ["V1", "V6"], at: 2, duration: 2)])
    }

    @Test func gapsAndLosses() {
        var wave = ecg(twelve, seconds: 10)
        for lead in wave.samples.indices { for index in 6 * rate..<7 * rate { wave.samples[lead][index] = .absent } }
        let names = twelve.map(\.1)
        #expect(
            QualityMonitor.hints(of: wave) == [QualityHint(kind: .gap, channels: names, at: 6, duration: 1)])
        var monitor = QualityMonitor(channels: wave.channels)
        monitor.append(wave.samples.map { Array($0.prefix(rate)) })
        monitor.append(wave.samples.map { Array($0.prefix(rate)) }, lost: true)
        #expect(monitor.current == [QualityHint(kind: .gap, channels: names, at: 1, duration: 1)])
        monitor.append(wave.samples.map { Array($0.prefix(rate)) })
        #expect(monitor.current.isEmpty && monitor.hints.count == 1)
    }

    /// Kept with the recording as notes, since what comes after a loss follows what came before it without a hole.
    @Test func lossesOfAStoredRecordingAreGaps() {
        let wave = ecg(twelve, seconds: 10)
        let notes = [
            Note(kind: .gap, at: 3.25, text: "2 frames lost"), Note(kind: .gap, at: 4, text: "1 frame lost"),
            Note(kind: .gap, text: "the laptop was suspended"), Note(kind: .gap, at: 10, text: "recording interrupted"),
            Note(kind: .surprise, at: 7, text: "something else"), Note(kind: .gap, at: .infinity, text: "nowhere"),
        ]
        #expect(
            QualityMonitor.hints(of: wave, notes: notes)
                == [QualityHint(kind: .gap, channels: twelve.map(\.1), at: 3, duration: 2)])
        #expect(QualityMonitor.hints(of: wave).isEmpty)
    }

    @Test func saturation() {
        var wave = ecg(twelve, seconds: 5)
        for index in rate..<rate + 20 { wave.samples[0][index] = 5000 }
        #expect(
            QualityMonitor.hints(of: wave).first
                == QualityHint(kind: .saturation, channels: ["I"], at: 1, duration: 1))
    }

    @Test func wander() throws {
        var wave = ecg(twelve, seconds: 20)
        for index in wave.samples[2].indices {
            wave.samples[2][index] += Sample(400 * sin(2 * .pi * 0.2 * Double(index) / Double(rate)))
        }
        let hints = QualityMonitor.hints(of: wave)
        let hint = try #require(hints.first)
        #expect(hints.count == 1 && hint.kind == .baselineWander && hint.channels == ["aVR"])
        #expect((hint.value ?? 0) > 500)
    }

    @Test func exchangedArms() throws {
        var swapped = twelve
        swapped[0].2 = -900
        swapped[2].2 = 500
        let hint = try #require(QualityMonitor.hints(of: ecg(swapped, seconds: 15)).first)
        #expect(hint.kind == .armLeadSwap && hint.channels == ["I"] && (hint.value ?? 0) < -0.9)
        // A heart on the right side: V6 points down too.
        swapped[4].2 = -300
        #expect(QualityMonitor.hints(of: ecg(swapped, seconds: 15)).isEmpty)
    }

    /// However the samples arrive, the hints are the same; and nobody touches the samples.
    @Test func portionsPlayNoPart() {
        var wave = ecg(twelve, seconds: 12)
        for index in 3 * rate..<8 * rate { wave.samples[0][index] = .absent }
        var monitor = QualityMonitor(channels: wave.channels)
        var start = 0
        var random = Seeded(state: 4)
        while start < 12 * rate {
            let end = min(12 * rate, start + Int.random(in: 1...900, using: &random))
            monitor.append(wave.samples.map { Array($0[start..<end]) })
            start = end
        }
        #expect(monitor.hints == QualityMonitor.hints(of: wave))
    }

    @Test func slowSignalsAreNoLeads() {
        let wave = oximetry(seconds: 40)
        #expect(QualityMonitor.hints(of: wave).allSatisfy { $0.kind == .gap })
        var slow = wave.channels[0]
        slow.rate = Ratio(1, 4)
        let gap = Waveform(channels: [slow], samples: [[97, .absent, 96]])
        #expect(QualityMonitor.hints(of: gap) == [QualityHint(kind: .gap, channels: ["SpO2"], at: 7, duration: 1)])
    }

    /// Real recordings: what is known of the Contec one (devices.md 6.1: limb leads only, 50 Hz noise), and arms exchanged by
    /// arithmetic in healthy and sick hearts.
    @Test(.enabled(if: Shared.has("data/ecg/wfdb12/E07500.hea"), "needs ../shared/data/ecg"))
    func realRecordings() throws {
        let contec = try FileDecoder.decode(Shared.bytes("data/ecg/contec/0000037.ECG"))
        let hints = QualityMonitor.hints(of: contec.waveform)
        #expect(hints.contains { $0.kind == .leadOff && $0.channels == ["V1", "V2", "V3", "V4", "V5", "V6"] })
        #expect(hints.contains { $0.kind == .mainsHum && $0.frequency == 50 })
        let folder = Shared.url("data/ecg/wfdb12")
        var (wrong, found, total) = (0, 0, 0)
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        where name.hasSuffix(".hea") {
            var wave = try FileDecoder.decode(Shared.bytes("data/ecg/wfdb12/\(name)"), named: name) {
                try Shared.bytes("data/ecg/wfdb12/\($0)")
            }.waveform
            func swaps() -> Bool { QualityMonitor.hints(of: wave).contains { $0.kind == .armLeadSwap } }
            total += 1
            if swaps() { wrong += 1 }
            // I turns over, II and III change places, aVR and aVL too.
            wave.samples[0] = wave.samples[0].map { $0 == .absent ? $0 : -$0 }
            wave.samples.swapAt(1, 2)
            wave.samples.swapAt(3, 4)
            if swaps() { found += 1 }
        }
        print("exchanged arms: \(found) of \(total) found, \(wrong) false alarms")
        #expect(total > 0 && wrong == 0 && found * 2 >= total)
    }
}
