import Clinical
import Testing

@testable import Formats

/// Half a minute, ten minutes without any value, half a minute; 1 Hz and 60 Hz.
var silentInTheMiddle: Waveform {
    var wave = oximetry(seconds: 660)
    for (index, channel) in wave.channels.enumerated() {
        let rate = channel.rate.numerator
        for position in 30 * rate..<630 * rate { wave.samples[index][position] = .absent }
    }
    return wave
}

/// Which object or file a recording becomes (formats.md 1.1 and 7).
@Suite struct RoutingTests {
    private func leads(_ count: Int, rate: Ratio, samples: Int, top: Sample = 1000) -> Waveform {
        let signals = Channel.Signal.leads.map(\.signal)
        return Waveform(
            channels: (0..<count).map {
                Channel(
                    signal: signals[$0 % signals.count], name: "", unit: "uV", rate: rate, scale: Ratio(1),
                    range: -top...top, calibration: .verified)
            }, samples: Array(repeating: (0..<samples).map { $0 == 1 ? top : Sample($0 % 100) }, count: count))
    }

    private func written(_ wave: Waveform) throws -> DicomSOPClass? {
        try DicomWaveformFile(decoding: DicomECGWriter.write(wave, header: dicomHeader())).sopClass
    }

    @Test(arguments: [
        (12, 200, 2000, 1000, DicomSOPClass.twelveLead), (12, 1000, 16384, 1000, .twelveLead),
        (13, 500, 10, 1000, .twelveLead), (12, 1000, 16385, 1000, .general), (14, 500, 10, 1000, .general),
        (24, 500, 10, 1000, .general), (2, 199, 100, 1000, .ambulatory), (12, 50, 30000, 1000, .ambulatory),
        (1, 125, 100, 1000, .ambulatory), (3, 500, 100, 40000, .general32), (3, 1001, 100, 1000, .general32),
    ])
    func object(channels: Int, rate: Int, samples: Int, top: Int, expected: DicomSOPClass) throws {
        let wave = leads(channels, rate: Ratio(rate), samples: samples, top: Sample(top))
        #expect(try written(wave) == expected)
        let decoded = try DicomWaveformFile(decoding: DicomECGWriter.write(wave, header: dicomHeader()))
        #expect(decoded.groups.flatMap(\.waveform.samples) == wave.samples)
    }

    @Test(arguments: [(25, 500, 1000), (13, 100, 1000), (1, 49, 1000), (1, 100, 40000)])
    func whatNoObjectCanSayIsRefused(channels: Int, rate: Int, top: Int) {
        let wave = leads(channels, rate: Ratio(rate), samples: 50, top: Sample(top))
        #expect(throws: EncodeError.self) { try DicomECGWriter.write(wave, header: dicomHeader()) }
    }

    @Test func aGapIsPaddingInOneObject() throws {
        var wave = leads(12, rate: Ratio(500), samples: 5000)
        for index in wave.samples.indices { for position in 1000..<1500 { wave.samples[index][position] = .absent } }
        let file = try DicomWaveformFile(decoding: DicomECGWriter.write(wave, header: dicomHeader()))
        #expect(file.groups.count == 1 && file.groups[0].waveform.samples == wave.samples)
    }

    @Test func theSameTwiceIsTheSameFile() throws {
        let notes = [Note(kind: .gap, at: 0.1, text: "x"), Note(kind: .sensor, text: "y")]
        let case12 = contecCase(samples: 900).waveform12
        var header = dicomHeader(simulated: true, interrupted: true)
        header.subject.ins = Identifier(system: "urn:oid:1.2.250.1.213.1.4.8", value: "1")
        let dicom = Set(try (0..<3).map { _ in try DicomECGWriter.write(case12, header: header, notes: notes) })
        #expect(dicom.count == 1)
        let edf = Set(
            try (0..<3).map { _ in try EDFWriter.write(oximetry(seconds: 30), header: edfHeader(), notes: notes) })
        #expect(edf.count == 1)
    }

    @Test func anINSWithoutAnOIDIsRefused() {
        for ins in [Identifier(system: "INS", value: "1"), Identifier(system: "urn:oid:1.2.250", value: "")] {
            var header = dicomHeader()
            header.subject.ins = ins
            #expect(throws: EncodeError.self) {
                try DicomECGWriter.write(contecCase(samples: 8).waveform12, header: header)
            }
        }
    }

    @Test func contiguousUnlessAskedOrEmptyForMoreThanADay() throws {
        let wave = silentInTheMiddle
        let notes = [Note(kind: .sensor, at: 31.5, text: "in the silence"), Note(kind: .event, at: 640, text: "after")]
        #expect(try EDFFile(decoding: EDFWriter.write(wave, header: edfHeader())).variant == .edfPlusC)
        let file = try EDFFile(
            decoding: EDFWriter.write(wave, header: edfHeader(), notes: notes, continuity: .discontinuous))
        #expect(file.variant == .edfPlusD && file.records == 60)
        for (index, samples) in file.waveform.samples.enumerated() {
            let rate = wave.channels[index].rate.numerator
            // The last second of the plethysmogram is cut, and filled up with no value.
            let filled = wave.samples[index] + Array(repeating: .absent, count: 660 * rate - wave.samples[index].count)
            #expect(samples == Array(filled[..<(30 * rate)] + filled[(630 * rate)...]))
        }
        #expect(file.notes.contains { $0.kind == .gap && $0.at == 30 && $0.duration == 600 })
        #expect(file.annotations.contains { $0.text == "sensor: in the silence" && $0.at == 31.5 })
        #expect(file.annotations.contains { $0.text == "event: after" && $0.at == 640 })
        var days = oximetry(seconds: 10)
        days.channels.removeLast()
        days.samples.removeLast()
        for index in days.samples.indices {
            days.samples[index] += Array(repeating: .absent, count: 2 * 86400) + [97]
        }
        let sparse = try EDFWriter.write(days, header: edfHeader())
        #expect(try EDFFile(decoding: sparse).variant == .edfPlusD)
        #expect(sparse.count < 20_000)
    }
}
