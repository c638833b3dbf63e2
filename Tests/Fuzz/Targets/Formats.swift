import Clinical
import Formats
import Foundation
import Wire

extension FuzzTarget {
    /// Readers of file formats.
    static let formats: [FuzzTarget] = [
        FuzzTarget("contec-ecg", fixtures: ["formats", "contec-ecg-files"], endings: [".ECG"]) {
            _ = try? ContecECG(decoding: $0).waveform12
        },
        FuzzTarget("contec-spo2", fixtures: ["oximeter-files"], endings: [".SpO2"]) {
            _ = try? ContecSpO2(decoding: $0)
        },
        FuzzTarget("edf", fixtures: ["formats", "resmed-card"], endings: [".edf"], shared: ["sleep"]) {
            _ = try? EDFFile(decoding: $0)
        },
        FuzzTarget("dicom-waveform", fixtures: ["formats"], endings: [".dcm"], shared: ["ecg/dicom"]) {
            _ = try? DicomWaveformFile(decoding: $0)
        },
        // Deflated: at most a hundred times the input and a megabyte, held twice while it grows.
        FuzzTarget("dicom-report", fixtures: ["formats"], endings: [".dcm"], shared: ["echo/stickA"]) {
            _ = try? DicomReport(decoding: $0)
        },
        FuzzTarget("scp-ecg", fixtures: ["formats"], endings: [".scp"], shared: ["scp"]) {
            _ = try? SCPFile(decoding: $0)
        },
        // A checksum stops nearly every damage at the door; here each is made right again.
        FuzzTarget("scp-ecg-inside", fixtures: ["formats"], endings: [".scp"]) {
            _ = try? SCPFile(decoding: repaired($0))
        },
        FuzzTarget("hl7-aecg", fixtures: ["formats"], endings: [".xml"], shared: ["aecg"]) {
            _ = try? AnnotatedECG(decoding: $0)
        },
        // Silence costs no bytes in FLAC: its reader stops at 2^24 samples.
        FuzzTarget("wfdb", heapBeside: 768 << 20, made: wfdbRecords) { bytes in
            // A header, a zero byte, and what every signal file holds.
            let halves = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            let signals = halves.count > 1 ? [UInt8](halves[1]) : []
            _ = try? FileDecoder.decode([UInt8](halves[0]), named: "r.hea") { $0.isEmpty ? nil : signals }
        },
        FuzzTarget("ustar", made: archives) { _ = try? Ustar(decoding: $0) },
        FuzzTarget("ecg-coder", fixtures: ["formats"], endings: [".essecg"]) { _ = try? EcgCoder.decode($0) },
        FuzzTarget("ecg-chunk", fixtures: ["formats"], endings: [".chunk"]) { bytes in
            _ = try? EcgChunk.decode(bytes, channels: twelveLeads)
        },
        FuzzTarget("transcript", fixtures: ["contec-legacy", "omron-pressure"], endings: [".transcript"]) {
            _ = try? Transcript(parsing: $0)
        },
        // A line of a few characters is a packet or an event.
        FuzzTarget("capture", fixtures: ["omron-pressure"], endings: [".transcript"], made: captures) { bytes in
            _ = try? Capture.conversations(bytes, wanted: [Capture.Wanted(vendorID: "0590", productID: "0028")])
            _ = Capture.devices(bytes)
            _ = Capture.isCapture(bytes)
        },
        // The way that `ess-agent decode` takes.
        FuzzTarget("any-file", fixtures: ["formats"]) { _ = try? FileDecoder.decode($0) },
    ]

    private static let twelveLeads = ContecECG(
        caseNumber: "1", startText: "", nameBytes: [], sexCode: 0, age: 0, weight: 0,
        leads: Array(repeating: [], count: 8)
    ).waveform12.channels

    private static func wfdbRecords(_ fixtures: URL) throws -> [[UInt8]] {
        let folder = fixtures.appending(path: "formats")
        let header = [UInt8](try Data(contentsOf: folder.appending(path: "tiny.hea")))
        let signals = [UInt8](try Data(contentsOf: folder.appending(path: "tiny.dat")))
        let formats = ["8", "16", "24", "32", "61", "80", "160", "212", "310", "311", "508", "516", "524"]
        func record(_ header: String, _ content: [UInt8]) -> [UInt8] { Array(header.utf8) + [0] + content }
        var records = [header + [0] + signals]
        for format in formats {
            records.append(
                record("r 2 250 6\nr.dat \(format) 200(3)/mV\nr.dat \(format)+0 200\n", signals))
        }
        records.append(record("m/2 1 250 9\na 6\n~ 3\n", signals))
        records.append(record("r 1 250\nr.dat 516 200\n", silence))
        return records
    }

    /// A FLAC stream of one channel, 16 bits, one frame of 192 zeros.
    private static let silence: [UInt8] = {
        var bytes = Array("fLaC".utf8) + [0x80, 0, 0, 34, 0, 192, 0, 192, 0, 0, 0, 0, 0, 0]
        bytes += [0, 0xFA, 0x00, 0xF0, 0, 0, 0, 192]
        bytes += Array(repeating: 0, count: 16)
        bytes += [0xFF, 0xF8, 0x10, 0x08, 0, 0, 0, 0, 0, 0, 0]
        return bytes
    }()

    /// An SCP-ECG record with the right checksums (CRC-CCITT, formats.md 4.1) over whatever it holds.
    private static func repaired(_ record: [UInt8]) -> [UInt8] {
        var bytes = record
        func number(_ at: Int, _ width: Int) -> Int { (0..<width).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) } }
        func repair(_ start: Int, _ length: Int) {
            guard start >= 0, length > 2, start + length <= bytes.count else { return }
            var crc: UInt16 = 0xFFFF
            for byte in bytes[start + 2..<start + length] {
                crc ^= UInt16(byte) << 8
                for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
            }
            bytes[start] = UInt8(truncatingIfNeeded: crc)
            bytes[start + 1] = UInt8(crc >> 8)
        }
        guard bytes.count >= 32 else { return bytes }
        bytes.replaceSubrange(2..<6, with: (0..<4).map { UInt8(truncatingIfNeeded: record.count >> (8 * $0)) })
        let size = number(10, 4)
        for at in stride(from: 32, to: min(6 + size, bytes.count - 10, 6 + 16 + 10 * 40), by: 10) {
            repair(number(at + 6, 4) - 1, number(at + 2, 4))
        }
        repair(6, size)
        repair(0, bytes.count)
        return bytes
    }

    /// Two transfers in every form that `replay` reads.
    private static func captures(_ fixtures: URL) throws -> [[UInt8]] {
        func number(_ value: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(value >> (8 * $0) & 0xFF) } }
        func block(_ kind: Int, _ body: [UInt8]) -> [UInt8] {
            let padded = body + Array(repeating: 0, count: -body.count & 3)
            return number(kind, 4) + number(12 + padded.count, 4) + padded + number(12 + padded.count, 4)
        }
        let said: [UInt8] = [7, 0x4F, 0x4B, 0, 0, 0x70, 0x4B, 0x47]
        let usbmon =
            number(1, 8) + Array("C".utf8) + [1, 0x81, 5, 1, 0, 0x2D, 0] + number(0, 16) + number(8, 4) + number(8, 4)
            + number(0, 24) + said
        let usbpcap = number(27, 2) + number(1, 12) + [9, 0, 1, 1, 0, 3, 0, 0x81, 1] + number(8, 4) + said
        let files = [(220, usbmon), (249, usbpcap)].flatMap { link, packet in
            let size = number(packet.count, 4) + number(packet.count, 4)
            let section = block(0x0A0D_0D0A, number(0x1A2B_3C4D, 4) + [1, 0, 0, 0] + Array(repeating: 0xFF, count: 8))
            return [
                section + block(1, number(link, 4) + number(0, 4)) + block(6, number(0, 12) + size + packet),
                number(0xA1B2_C3D4, 4) + number(0, 16) + number(link, 4) + number(0, 8) + size + packet,
            ]
        }
        let texts = [
            "ffff8801 3575915300 C Ii:1:005:1 0:1 8 = 074f4b00 00704b47\n", "IN: 07 4f\nOUT 05, 0x56\n",
            "00000000: 074f 4b00 0070 4b47  .OK..pKG\n00000008: ffa0  ..\n", "07:4f:4b\n0x07, 0x4f\n",
            "00000000  07 4f 4b 00 00 70 4b 47  07 4f 4b 00 00 70 4b 47  |.|\n*\n00000040\n",
            "0000000 07 4f 4b 00 00 70 4b 47 07 4f 4b 00 00 70 4b 47\n0000020 ff\n0000021\n",
            "<html><title>USBlyzer</title><tr><th>Type</th><th>Time</th><th>Request Details</th><th>Raw Data</th><th>I/O</th>"
                + "<th>C:I:E</th><th>Device Object</th><th>Driver Name</th></tr><tr><td>URB</td><td>16:21:38.718</td>"
                + "<td>Input Report len:8</td><td>07 4F 4B</td><td>in</td><td>01:00:81</td><td>3h</td><td>usbhub</td></tr>",
            "<?xml version='1.0'?><snoopyprolog><urb sequence=\"1\"><function>BULK_OR_INTERRUPT_TRANSFER</function>"
                + "<timestamp>219</timestamp><endpoint>129</endpoint><payloadcount>8</payloadcount>"
                + "<payloadbytes>074f4b0000704b47</payloadbytes></urb></snoopyprolog>",
        ]
        return files + texts.map { Array($0.utf8) }
    }

    private static func archives(_ fixtures: URL) throws -> [[UInt8]] {
        let journal = [UInt8](try Data(contentsOf: fixtures.appending(path: "resmed-card/card/JOURNAL.JNL")))
        return [
            try Ustar([.init(name: "a/b.edf", bytes: journal), .init(name: "c", bytes: [])]).encoded(),
            try Ustar([]).encoded(),
        ]
    }
}
