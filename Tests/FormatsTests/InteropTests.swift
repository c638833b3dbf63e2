import Clinical
import Foundation
import Testing

@testable import Formats

/// Programs that others wrote judge what we write, and read what we read. They need `.venv` with
/// Tests/Interop/requirements.txt (or another Python named by ESS_PYTHON) and Debian's dicom3tools. Without them these tests
/// are skipped, unless ESS_REQUIRE_INTEROP=1 says that they must run.
enum Interop {
    static let environment = ProcessInfo.processInfo.environment
    static let python = environment["ESS_PYTHON"] ?? root.appending(path: ".venv/bin/python").path
    static let isRequired = environment["ESS_REQUIRE_INTEROP"] == "1"
    static let runs =
        isRequired || (FileManager.default.isExecutableFile(atPath: python) && hasProgram("dciodvfy"))
    static let reason: Comment = "needs .venv (Tests/Interop/requirements.txt) and dciodvfy; see ESS_REQUIRE_INTEROP"

    static func hasProgram(_ name: String) -> Bool {
        (environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
        }
    }

    struct Expected: Encodable {
        struct Item: Encodable {
            var name: String
            var unit: String
            var rate: [Int]
            var scale: [Int]
            var samples: [Sample?]
            var code: String?
        }
        var start: String?
        var channels: [Item]?
        var groups: [[Item]]?
        var annotations: [String] = []
        /// What must stand among the other patient IDs.
        var ins: [String: String]?
        /// False when the reader said that it had to round an offset to a fraction of a step.
        var exact = true
    }

    static func items(_ wave: Waveform, codes: Bool = false) -> [Expected.Item] {
        zip(wave.channels, wave.samples).map { channel, samples in
            Expected.Item(
                name: channel.name, unit: channel.unit, rate: [channel.rate.numerator, channel.rate.denominator],
                scale: [channel.scale.numerator, channel.scale.denominator],
                samples: samples.map { $0 == .absent ? nil : $0 },
                code: codes ? channel.signal.lead.map { "2:\($0.number)" } : nil)
        }
    }

    /// Runs a judge over bytes; returns what it said and whether it was satisfied.
    static func judge(
        _ script: String, _ bytes: [UInt8], _ expected: Expected, written: Bool
    ) throws -> (output: String, satisfied: Bool) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "ess-interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (file, wish) = (folder.appending(path: "file"), folder.appending(path: "expected.json"))
        try Data(bytes).write(to: file)
        try JSONEncoder().encode(expected).write(to: wish)
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments =
            [root.appending(path: "Tests/Interop/\(script)").path, file.path, wish.path]
            + (written ? ["--written"] : [])
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (output, process.terminationStatus == 0)
    }
}

@Suite(.enabled(if: Interop.runs, Interop.reason)) struct EDFInteropTests {
    private func write(_ wave: Waveform, _ header: EDFHeader, notes: [Note] = [], interrupted: Bool = false) throws {
        let bytes = try EDFWriter.write(wave, header: header, notes: notes, interrupted: interrupted)
        var expected = Interop.Expected(start: header.start?.description, channels: Interop.items(wave))
        expected.annotations = notes.map { "\($0.kind.rawValue): \($0.text)" }
        let verdict = try Interop.judge("check_edf.py", bytes, expected, written: true)
        #expect(verdict.satisfied, "\(verdict.output)")
    }

    @Test func oximetry() throws {
        try write(
            samples(600), edfHeader(),
            notes: [
                Note(kind: .sensor, at: 12.5, duration: 3, text: "finger out"), Note(kind: .gap, at: 70, text: "lost"),
            ],
            interrupted: true)
    }

    @Test func nobodyAndNoTime() throws {
        var header = edfHeader(start: nil, simulated: true)
        (header.patientCode, header.name, header.birthDate, header.administrationCode) = (nil, nil, nil, nil)
        try write(samples(3), header)
    }

    @Test func twelveLeads() throws { try write(contecCase(samples: 1234).waveform12, edfHeader(simulated: true)) }

    @Test func oddRates() throws {
        let channel = Channel(
            signal: .other, name: "slow", unit: "mV", rate: Ratio(25, 2), scale: Ratio(1, 3), range: -7...9,
            calibration: .unverified)
        try write(
            Waveform(channels: [channel], samples: [(0..<77).map { $0 % 5 == 0 ? .absent : Sample($0 % 17 - 7) }]),
            edfHeader())
    }

    /// 1667 µs a sample, as SCP-ECG files have it: no rate that a decimal could say.
    @Test func wholeMicroseconds() throws {
        var wave = contecCase(samples: 6000).waveform12
        for index in wave.channels.indices { wave.channels[index].rate = Ratio(1_000_000, 1667) }
        try write(wave, edfHeader())
    }

    @Test func discontinuous() throws {
        let wave = silentInTheMiddle
        let bytes = try EDFWriter.write(wave, header: edfHeader(), continuity: .discontinuous)
        let file = try EDFFile(decoding: bytes)
        var expected = Interop.Expected(start: morning.description, channels: Interop.items(file.waveform))
        expected.annotations = []
        let verdict = try Interop.judge("check_edf.py", bytes, expected, written: true)
        #expect(verdict.satisfied, "\(verdict.output)")
        #expect(verdict.output.contains("checked by edfio"))
    }

    private func samples(_ seconds: Int) -> Waveform { FormatsTests.oximetry(seconds: seconds) }

    @Test(
        .enabled(if: Shared.has("data/sleep/short_psg.edf"), "needs ../shared/data/sleep"),
        arguments: ["short_psg.edf", "edfplus_D_gap.edf", "edfgen/test_generator.bdf"])
    func othersFilesDecodeAlike(name: String) throws {
        let bytes = try Shared.bytes("data/sleep/\(name)")
        let file = try EDFFile(decoding: bytes)
        var expected = Interop.Expected(start: nil, channels: Interop.items(file.waveform))
        expected.exact = !file.notes.contains { $0.text.contains("rounded") }
        // The limits in this one's header are rounded decimals; those of the others give exact values.
        #expect(expected.exact == (name != "edfplus_D_gap.edf"))
        let verdict = try Interop.judge("check_edf.py", bytes, expected, written: false)
        #expect(verdict.satisfied, "\(verdict.output)")
    }
}

@Suite(.enabled(if: Interop.runs, Interop.reason)) struct DicomInteropTests {
    private func write(_ wave: Waveform, _ header: DicomECGHeader, notes: [Note] = []) throws {
        let bytes = try DicomECGWriter.write(wave, header: header, notes: notes)
        let decoded = try DicomWaveformFile(decoding: bytes)
        // The groups as read carry the samples at the group's step; the physical values are those of the input.
        for (channel, samples) in zip(wave.channels, wave.samples) {
            let read = decoded.groups.flatMap { zip($0.waveform.channels, $0.waveform.samples) }
                .first { $0.0.signal == channel.signal }
            let values = read.map { read in read.1.map(read.0.physical) }
            #expect(values == samples.map(channel.physical))
        }
        var expected = Interop.Expected(groups: decoded.groups.map { Interop.items($0.waveform, codes: true) })
        expected.ins = header.subject.ins.map {
            ["value": $0.value, "oid": String($0.system.dropFirst("urn:oid:".count))]
        }
        let verdict = try Interop.judge("check_dicom.py", bytes, expected, written: true)
        #expect(verdict.satisfied, "\(verdict.output)")
    }

    @Test func twelveLeads() throws { try write(contecCase(samples: 8000).waveform12, dicomHeader()) }

    @Test func limbLeadsOnlyInterruptedWithNotes() throws {
        try write(
            contecCase(samples: 801, chestLeads: false).waveform12, dicomHeader(interrupted: true),
            notes: [Note(kind: .gap, at: 0.4, text: "3 samples lost: é"), Note(kind: .device, text: "x")])
    }

    @Test func simulatedWithoutAnyIdentityButTheNumber() throws {
        var header = dicomHeader(start: nil, simulated: true)
        header.subject = .init(family: nil, given: [], id: "x", issuer: nil, birthDate: nil, sex: .unknown)
        header.device.serial = "SIM00042"
        header.institution = nil
        try write(contecCase(samples: 400).waveform12, header)
    }

    @Test func withTheINS() throws {
        var header = dicomHeader()
        header.subject.ins = Identifier(system: "urn:oid:1.2.250.1.213.1.4.10", value: "238049900100173")
        try write(contecCase(samples: 800).waveform12, header)
    }

    /// 24-bit front ends and fast ones: only the 32-bit object says them as they are.
    @Test(arguments: [500, 2000]) func wide(rate: Int) throws {
        let channel = Channel(
            signal: .ecgII, name: "II", unit: "uV", rate: Ratio(rate), scale: Ratio(1, 8),
            range: -8_388_607...8_388_607,
            calibration: .verified)
        try write(
            Waveform(channels: [channel], samples: [[-8_388_607, 8_388_607, .absent, 0, 5]]), dicomHeader())
    }

    @Test func generalForLong() throws { try write(contecCase(samples: 16400).waveform12, dicomHeader()) }

    @Test func ambulatoryForSlow() throws {
        var wave = contecCase(samples: 300).waveform12
        for index in wave.channels.indices { wave.channels[index].rate = Ratio(125) }
        try write(wave, dicomHeader())
    }

    @Test func severalGroups() throws {
        func channel(_ signal: Channel.Signal, _ scale: Ratio) -> Channel {
            Channel(
                signal: signal, name: "", unit: "uV", rate: Ratio(500), scale: scale, range: -32767...32767,
                calibration: .verified, derivation: scale == Ratio(5, 2) ? "derived" : nil)
        }
        try write(
            Waveform(
                channels: [channel(.ecgI, Ratio(5)), channel(.ecgAVR, Ratio(5, 2)), channel(.ecgV6, Ratio(5))],
                samples: [[32767, -32767, .absent], [32767, 0, -1], [1, 2, 3]]),
            dicomHeader())
    }

    @Test(
        .enabled(if: Shared.has("data/ecg/dicom/waveform_ecg.dcm"), "needs ../shared/data/ecg/dicom"),
        arguments: ["ref_12lead_georgia_500Hz.dcm", "waveform_ecg.dcm"])
    func othersFilesDecodeAlike(name: String) throws {
        let bytes = try Shared.bytes("data/ecg/dicom/\(name)")
        let file = try DicomWaveformFile(decoding: bytes)
        #expect(!file.notes.contains { $0.text.contains("rounded") || $0.text.contains("can't be used") })
        let expected = Interop.Expected(groups: file.groups.map { Interop.items($0.waveform) })
        let verdict = try Interop.judge("check_dicom.py", bytes, expected, written: false)
        #expect(verdict.satisfied, "\(verdict.output)")
    }

    @Test(.enabled(if: Shared.has("data/ecg/contec/0000037.ECG"), "needs ../shared/data/ecg/contec"))
    func theRealCase() throws {
        try write(ContecECG(decoding: Shared.bytes("data/ecg/contec/0000037.ECG")).waveform12, dicomHeader())
    }
}
