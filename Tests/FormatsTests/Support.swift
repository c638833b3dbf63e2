import Clinical
import Formats
import Foundation
import Testing

/// The project's root: this file lies three levels below it.
let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// Reference files that lie beside the project and are not part of it.
enum Shared {
    static func has(_ path: String) -> Bool { FileManager.default.fileExists(atPath: url(path).path) }
    static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: url(path))) }
    static func url(_ path: String) -> URL { root.deletingLastPathComponent().appending(path: "shared/\(path)") }
}

/// SplitMix64: the same sequence on every machine.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Feeds a parser every truncation, flipped bits, overwritten bytes and noise behind a valid beginning. Returning or
/// throwing are both fine; crashing or hanging is not.
func torture(_ valid: [UInt8], keeping prefix: Int, rounds: Int, seed: UInt64, _ parse: ([UInt8]) -> Void) {
    for length in 0...valid.count { parse(Array(valid.prefix(length))) }
    var random = Seeded(state: seed)
    for _ in 0..<rounds {
        var bytes = valid
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        parse(bytes)
        bytes = valid
        for _ in 0..<Int.random(in: 1...16, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        parse(bytes)
        let noise = (0..<Int.random(in: 0...2048, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
        }
        parse(noise)
        parse(valid.prefix(prefix) + noise)
    }
}

let morning = LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7)!
let importTime = LocalTime(year: 2026, month: 11, day: 23, hour: 14, minute: 0, second: 59)!

/// A small case with every kind of sample: extremes, absent ones, odd sums.
func contecCase(samples: Int, chestLeads: Bool = true, seed: UInt64 = 1) -> ContecECG {
    var random = Seeded(state: seed)
    let leads = (0..<8).map { lead in
        (0..<samples).map { index -> Sample in
            if !chestLeads && lead >= 2 { return .absent }
            if index == 0 { return lead.isMultiple(of: 2) ? -2048 : 2047 }
            return Int.random(in: 0..<20, using: &random) == 0
                ? .absent : Sample.random(in: -2048...2047, using: &random)
        }
    }
    return ContecECG(
        caseNumber: "0000042", startText: "2026-11-22 09:05:07", nameBytes: Array("MARTIN\0\0".utf8), sexCode: 0,
        age: 81,
        weight: 62, leads: leads)
}

func dicomHeader(start: LocalTime? = morning, simulated: Bool = false, interrupted: Bool = false) -> DicomECGHeader {
    DicomECGHeader(
        subject: .init(
            family: "Éloïse-Duçœur", given: ["Anne", "Zoé"], id: "pat-0001", issuer: "TEST", birthDate: "1938-04-12",
            sex: .female),
        studyInstance: "2.25.1001", seriesInstance: "2.25.1002", sopInstance: "2.25.1003", start: start,
        fallback: importTime,
        device: DeviceIdentity(
            driver: "contec-ecg-files", vendor: "Contec", model: "ECG90A", serial: nil, support: .verified),
        institution: "ESS de démonstration", software: "ess-agent 0.1.0", simulated: simulated, interrupted: interrupted
    )
}

func edfHeader(start: LocalTime? = morning, simulated: Bool = false) -> EDFHeader {
    EDFHeader(
        patientCode: "pat-0001", sex: .male, birthDate: "1938-04-12", name: "Éloïse Duçœur", start: start,
        administrationCode: "0192f3a0-7b1c-7def-8123-456789abcdef", equipment: "Contec CMS50F", simulated: simulated)
}

/// SpO2 and pulse at 1 Hz, plethysmogram at 60 Hz, with absent samples at both ends and a last second that is cut.
func oximetry(seconds: Int) -> Waveform {
    func channel(_ signal: Channel.Signal, _ name: String, _ unit: String, _ rate: Int, _ top: Sample) -> Channel {
        Channel(
            signal: signal, name: name, unit: unit, rate: Ratio(rate), scale: Ratio(1), range: 0...top,
            calibration: .verified)
    }
    func samples(_ count: Int, _ base: Sample, _ span: Int) -> [Sample] {
        (0..<count).map { $0 == 0 || $0 % 7 == 3 ? .absent : base + Sample($0 * 31 % span) }
    }
    return Waveform(
        channels: [
            channel(.spo2, "SpO2", "%", 1, 100), channel(.pulseRate, "Pulse rate", "/min", 1, 254),
            channel(.plethysmogram, "Pleth", "1", 60, 127),
        ],
        samples: [samples(seconds, 88, 12), samples(seconds, 55, 60), samples(60 * seconds - 17, 0, 127)])
}
