import Testing
import Wire

/// What people bring instead of a whole capture: transfers that were cut, dumps in every printer's form, reports of analysers,
/// files that are something else.
@Suite("Forms of captures")
struct CaptureFormsTests {
    static func said(_ text: String) throws -> [[UInt8]] {
        let events = try Capture.transcript(Array(text.utf8)).events
        #expect(events.allSatisfy { $0.kind == .fromDevice })
        return events.map(\.bytes)
    }

    static func refusal(_ bytes: [UInt8]) -> String {
        let error = #expect(throws: TranscriptError.self) { try Capture.transcript(bytes) }
        return error?.description ?? ""
    }

    // MARK: Cut transfers

    @Test("usbmon's text shows 32 bytes of a transfer: what is cut is left out and counted")
    func cutText() throws {
        let full = String(repeating: "01020304 ", count: 8)
        let text = """
            ffff88003d7f1000 1000000 C Bi:1:005:1 0 4 = 0a0b0c0d
            ffff88003d7f1000 1000100 C Bi:1:005:1 0 64 = \(full)
            ffff88003d7f1000 1000200 C Bi:1:005:1 0 32 = \(full)
            ffff88003d7f1000 1000300 C Bi:1:005:1 0 16 D
            ffff88003d7f1000 1000400 S Bo:1:005:2 -115 40 = \(full)
            ffff88003d7f1000 1000500 C Bi:1:005:1 0 2 = 0e0f
            ffff88003d7f1000 1000600 C Ci:1:005:0 0 41 = 09022900 \(full.dropLast(9))
            """
        let found = try #require(try Capture.conversations(Array(text.utf8), wanted: []).first)
        #expect(found.transcript.events.prefix(3).map(\.bytes.count) == [4, 32, 2])
        #expect(found.cuts == 3 && found.shown == 32)
        #expect(found.breaks == [1, 2])
        // A configuration descriptor is longer than 32 bytes, and nobody's value.
        #expect(found.transcript.events.last?.endpoint == 0x80)
    }

    @Test("a capture with a short limit, by either length")
    func cutFile() throws {
        let packet = CaptureTests.usbmon("C", transfer: 3, endpoint: 0x81, Array(1...40))
        func file(_ shown: [UInt8], length: Int) -> [UInt8] {
            let body = CaptureTests.little(UInt32(0)) + CaptureTests.little(UInt64(0))
            return CaptureTests.pcapng([])
                + CaptureTests.block(
                    6, body + CaptureTests.little(UInt32(shown.count)) + CaptureTests.little(UInt32(length)) + shown)
        }
        for (shown, events, cuts) in [(packet.count, 1, 0), (64 + 10, 0, 1), (64, 0, 1)] {
            let found = try Capture.conversations(file(Array(packet[..<shown]), length: packet.count), wanted: [])
            #expect(found.first?.transcript.events.count == events && found.first?.cuts == cuts)
        }
        #expect(Self.refusal(file(Array(packet[..<40]), length: packet.count)).contains("at most 40 bytes"))
        // Of the kernel's own limit only the header knows.
        var limited = packet
        limited.replaceSubrange(32..<36, with: CaptureTests.little(UInt32(100)))
        #expect(
            try Capture.conversations(file(limited, length: limited.count), wanted: []).map(\.cuts) == [1])
    }

    // MARK: Dumps

    static let bytes: [UInt8] = [
        0x07, 0x4F, 0x4B, 0, 0, 0x4C, 0, 0x70, 0x4B, 0x47, 0xAD, 0xBE, 0x20, 0x41, 0x42, 0x43, 0xFF, 0xA0,
    ]

    @Test(
        "the digits of an offset are nobody's bytes",
        arguments: [
            // Wireshark, "Copy as Hex Dump"; the picture may look like bytes.
            "0000   07 4f 4b 00 00 4c 00 70 4b 47 ad be 20 41 42 43   .OK..L.pKG.. ABC\n0010   ff a0                                             ..\n",
            // tshark -x
            "0000  07 4f 4b 00 00 4c 00 70  4b 47 ad be 20 41 42 43   .OK..L.p ab cd 12\n0010  ff a0                                             ..\n",
            // text2pcap's input
            "000000 07 4f 4b 00 00 4c 00 70 4b 47 ad be 20 41 42 43\n000010 ff a0\n000012\n",
            // od -Ax -tx1, od -tx1 (octal offsets)
            "000000 07 4f 4b 00 00 4c 00 70 4b 47 ad be 20 41 42 43\r\n000010 ff a0\r\n000012\r\n",
            "0000000 07 4f 4b 00 00 4c 00 70 4b 47 ad be 20 41 42 43\n0000020 ff a0\n0000022\n",
            // xxd, also of a part; tcpdump -X
            "00000000: 074f 4b00 004c 0070 4b47 adbe 2041 4243  .OK..L.pKG.. ABC\n00000010: ffa0                                     ..\n",
            "00000040: 074f 4b00 004c 0070 4b47 adbe 2041 4243  .OK..L.pKG.. ABC\n00000050: ffa0                                     ..\n",
            "\t0x0000:  074f 4b00 004c 0070 4b47 adbe 2041 4243  .OK..L.pKG.. ABC\n\t0x0010:  ffa0                                     ..\n",
            // Eight in a line, upper case
            "0000 07 4F 4B 00 00 4C 00 70\n0008 4B 47 AD BE 20 41 42 43\n0010 FF A0\n",
            // Without offsets: groups, pairs with signs between, a program's array
            "074f4b00 004c0070\n4b47adbe 20414243\nffa0\n", "07:4f:4b:00:00:4c:00:70:4b:47:ad:be:20:41:42:43:ff:a0",
            "0x07, 0x4f, 0x4b, 0x00, 0x00, 0x4c, 0x00, 0x70,\n0x4b,0x47,0xad,0xbe,0x20,0x41,0x42,0x43,\n{0xff, 0xA0};\n",
            "07-4F-4B-00-00-4C-00-70-4B-47-AD-BE-20-41-42-43-FF-A0\r\n",
        ])
    func dumps(_ text: String) throws {
        #expect(try Self.said(text).flatMap(\.self) == Self.bytes)
    }

    @Test("an offset that begins again is another packet")
    func packets() throws {
        let text = "0000   07 4f 4b 00 00 4c 00 70   .OK..L.p\n\n0000   4b 47                     KG\n"
        #expect(try Self.said(text) == [[7, 0x4F, 0x4B, 0, 0, 0x4C, 0, 0x70], [0x4B, 0x47]])
        // Eight bytes, and a picture that is bytes too.
        #expect(try Self.said("0000   61 62 63 64 65 66 67 68   ab cd ef\n") == [Array(0x61...0x68)])
    }

    @Test("a star stands for lines that come again, up to the next offset, and never for more than a megabyte")
    func stars() throws {
        let row = "01 02 03 04 05 06 07 08  09 0a 0b 0c 0d 0e 0f 10  |................|"
        let text = "00000000  \(row)\n*\n00000030  ff  |.|\n00000031\n"
        #expect(
            try Self.said(text).flatMap(\.self)
                == [Array(1...16), Array(1...16), Array(1...16), [0xFF]].flatMap(\.self))
        #expect(try Self.said("00000000  \(row)\n*\n00000040\n").flatMap(\.self).count == 64)
        #expect(Self.refusal(Array("00000000  \(row)\n*\n7ffffff0  ff\n".utf8)).contains("hexdump -vC"))
        #expect(Self.refusal(Array("00000000  \(row)\n*\n".utf8)).contains("line 2"))
    }

    @Test(
        "what doesn't fit is refused at its line, never guessed",
        arguments: [
            ("0000   07 4f 4b\n0010   00 01\n", "line 1"), ("00000000: 0102\n00000003: 04\n", "line 1"),
            ("0000000 8006 8780\n", "machine's order"), ("000000 8006 8780\n000004 0102\n", "machine's order"),
            ("0000000 100006 103600\n", "machine's order"),
        ])
    func misfits(_ text: String, word: String) {
        #expect(Self.refusal(Array(text.utf8)).contains(word))
    }

    @Test("groups of four bytes that look like offsets are bytes")
    func groups() throws {
        #expect(try Self.said("024f4b00 00\n05060708 09\n").flatMap(\.self) == [2, 0x4F, 0x4B, 0, 0, 5, 6, 7, 8, 9])
        #expect(try Self.said("024f4b00 00").flatMap(\.self) == [2, 0x4F, 0x4B, 0, 0])
    }

    @Test("packets of a capture that were printed whole are packets")
    func printed() throws {
        let lines = [
            CaptureTests.usbmon("S", transfer: 1, endpoint: 0x02, [7, 0, 0]),
            CaptureTests.usbmon("C", transfer: 1, endpoint: 0x02),
            CaptureTests.usbmon("C", transfer: 1, endpoint: 0x81, [2, 0x4F, 0x4B]),
        ].map { packet in
            stride(from: 0, to: packet.count, by: 16).map { at in
                let row = packet[at..<min(at + 16, packet.count)].map { String(Int($0) + 256, radix: 16).dropFirst() }
                return String(String(at + 65536, radix: 16).dropFirst()) + "  " + row.joined(separator: " ") + "   ..."
            }.joined(separator: "\n")
        }
        func number(_ text: String) throws -> [TranscriptEvent] { try Capture.transcript(Array(text.utf8)).events }
        let events = try number(lines.joined(separator: "\n\n"))
        #expect(events.map(\.kind) == [.toDevice, .fromDevice])
        #expect(events.map(\.bytes) == [[7, 0, 0], [2, 0x4F, 0x4B]])
    }

    @Test("lines with IN and OUT")
    func directed() throws {
        let text = "# a session\nOUT: 07 00, 0x00\nIN: 02:4f:4b\nin 81  05 06\n"
        let events = try Capture.transcript(Array(text.utf8)).events
        #expect(events.map(\.kind) == [.toDevice, .fromDevice, .fromDevice])
        #expect(events[0].bytes == [7, 0, 0] && events[1].bytes == [2, 0x4F, 0x4B])
    }

    // MARK: Reports

    static func usblyzer(_ rows: [[String]]) -> String {
        let names = [
            "Type", "Seq", "Time", "Request", "Request Details", "Raw Data", "I/O", "C:I:E", "Device Object",
            "Driver Name",
        ]
        func row(_ mark: String, _ cells: [String]) -> String {
            "<tr>\n" + cells.map { "<\(mark)>\($0)</\(mark)>\n" }.joined() + "</tr>\n"
        }
        let head = "<!DOCTYPE HTML>\n<html><head><title>USBlyzer  Report</title></head><body><table>\n"
        return head + row("th", names) + rows.map { row("td", $0) }.joined() + "</table></body></html>\n"
    }

    @Test("USBlyzer's report: each transfer once, as the hub saw it")
    func usblyzer() throws {
        func three(_ details: String, _ raw: String, _ side: String, _ place: String) -> [[String]] {
            [("1h", "hhdusbh"), ("2h", "ACPI"), ("3h", "usbhub")].map { object, driver in
                [
                    "URB", "0002", "16:21:38.\(details.count + 100)", "Transfer", details, raw, side, place, object,
                    driver,
                ]
            }
        }
        let start = ["START", "0001", "16:21:33.578"] + Array(repeating: "", count: 7)
        let text = Self.usblyzer(
            [
                [start], three("Set Report (Feature len:2)", "01 01", "out", ""),
                three("Set Report (Feature len:2)", "", "out", "--:--:00"),
                three("Output Report len:8", "07 00 00 00 00 00 00 00", "out", "01:00:02"),
                three("8 bytes buffer", "", "in", "01:00:81"),
                three("Input Report len:8", "07 4F 4B 00 4D 37 30 38", "in", "01:00:81"),
                three("Input Report len:64", "07 4F ...", "in", "01:00:81"),
            ].flatMap(\.self))
        let found = try Capture.conversations(Array(text.utf8), wanted: [])
        #expect(found.count == 1 && found[0].cuts == 1 && found[0].shown == 2)
        let events = found[0].transcript.events
        #expect(events.map(\.kind) == [.toDevice, .toDevice, .fromDevice] && events.map(\.endpoint) == [0, 2, 0x81])
        #expect(events[0].bytes == [0x21, 9, 0, 3, 0, 0, 2, 0, 1, 1])
        #expect(events[2].bytes == [7, 0x4F, 0x4B, 0, 0x4D, 0x37, 0x30, 0x38])
        for count in 0..<text.utf8.count { _ = try? Capture.transcript(Array(text.utf8.prefix(count))) }
    }

    @Test("SnoopyPro's log")
    func snoopyPro() throws {
        func urb(_ function: String, _ endpoint: Int, _ time: Int, _ count: Int, _ bytes: String) -> String {
            """
            <urb sequence="1">\n<function>\(function)</function>\n<timestamp>\(time)</timestamp>\n<endpoint>\(endpoint)</endpoint>
            <payload packet="0">\n<payloadcount>\(count)</payloadcount>\n<payloadbytes>\(bytes)</payloadbytes>\n</payload>\n</urb>\n
            """
        }
        let descriptor = CaptureTests.descriptor.map { String($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let urbs = [
            urb("CONTROL_TRANSFER", -1, 235, 18, descriptor), urb("BULK_OR_INTERRUPT_TRANSFER", 129, 313, 8, ""),
            urb("BULK_OR_INTERRUPT_TRANSFER", 2, 45297, 8, "0700000000000000"),
            urb("BULK_OR_INTERRUPT_TRANSFER", 129, 45407, 8, "024f4bffffffffff"),
        ].joined()
        let head = "\n<?xml version='1.0'?>\n\n<!-- This file was generated by SnoopyPro -->\n\n"
        let text = head + "<snoopyprolog>\n" + urbs + "</snoopyprolog>\n"
        let wanted = [Capture.Wanted(vendorID: "0590", productID: "0028")]
        let found = try #require(try Capture.conversations(Array(text.utf8), wanted: wanted).first)
        #expect(found.isWanted && found.cuts == 0)
        #expect(found.transcript.events.map(\.endpoint) == [0x80, 2, 0x81])
        #expect(found.transcript.events.map { Int(($0.after * 1000).rounded()) } == [0, 45062, 110])
        #expect(found.transcript.events.last?.bytes == [2, 0x4F, 0x4B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
    }

    // MARK: Something else

    @Test("a file that is something else is named, with the way out")
    func foreign() {
        #expect(Self.refusal([]).contains("empty"))
        #expect(Self.refusal([0x1F, 0x8B, 8] + Array(repeating: 7, count: 40)).contains("unpack"))
        #expect(Self.refusal(Array(0...255)).contains("--raw"))
        #expect(Self.refusal(Array("<html><body>hello</body></html>".utf8)).contains("USBlyzer"))
        #expect(Self.refusal(CaptureTests.pcapng([], link: 266)).contains("macOS"))
        #expect(Self.refusal(CaptureTests.pcapng([], link: 288)).contains("249"))
        // A word that some readers take for a number.
        #expect(throws: TranscriptError.self) {
            try Capture.transcript(Array("ffff nan C Bi:1:005:1 0 4 = 0a0b0c0d".utf8))
        }
    }

    @Test func devicesOfACapture() {
        let file = CaptureTests.pcapng([
            (1, CaptureTests.usbmon("C", transfer: 2, endpoint: 0x80, CaptureTests.descriptor)),
            (2, CaptureTests.usbmon("C", transfer: 1, endpoint: 0x81, device: 9, [1, 2])),
        ])
        #expect(Capture.devices(file).map(\.address) == [9, 5])
        #expect(
            Capture.devices(file).map(\.vendorID) == [nil, "0590"] && Capture.devices(file).map(\.bytes) == [2, 0])
        #expect(Capture.isCapture(file) && !Capture.isCapture(Array("00 01 02".utf8)))
    }

    @Test func damageNeverTraps() {
        let seeds = [
            "0000   07 4f 4b 00   .OK.\n*\n0010   ff a0\n0012\n", "00000000: 074f 4b00  .OK.\n00000004: ffa0  ..\n",
            Self.usblyzer([
                ["URB", "1", "16:21:38.718", "", "Input Report len:8", "07 4F", "in", "01:00:81", "3h", "usbhub"]
            ]),
            "ffff88003d7f1000 3575915300 C Ii:1:005:1 0:1 8 = 024f4b00 00000000\n", "IN: 01 02\nOUT 03\n",
        ]
        var numbers = SeededNumbers(state: 7)
        for seed in seeds {
            for _ in 0..<2000 {
                var damaged = Array(seed.utf8)
                for _ in 0..<Int.random(in: 1...5, using: &numbers) {
                    let place = Int.random(in: 0..<damaged.count, using: &numbers)
                    if Bool.random(using: &numbers) {
                        damaged[place] = UInt8.random(in: 0...127, using: &numbers)
                    } else {
                        damaged.insert(damaged[Int.random(in: 0..<damaged.count, using: &numbers)], at: place)
                    }
                }
                _ = try? Capture.conversations(damaged, wanted: [])
            }
        }
    }
}
