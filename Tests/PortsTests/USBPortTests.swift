import Foundation
import Glibc
import Ports
import Testing
import Wire

/// The real libusb over umockdev's test bed, in a process of its own (see `WatcherTests`); the device is `usb_device.py`.
@Suite(.timeLimit(.minutes(2))) struct USBPortTests {
    @Test(.enabled(if: Bench.isInstalled, "needs umockdev, gir1.2-umockdev-1.0 and python3-gi"))
    func everythingThatAPortDoes() async throws {
        let bench = try Bench(running: "InsideUSBTestbed", environment: ["ESS_INSIDE_USB_TESTBED": "1"])
        #expect(await bench.answer() == "ok ready")
        let plugged = try await bench.obey("usb monitor 1209 0001 SIM0001").split(separator: " ").map(String.init)
        let (path, node) = (plugged[0], plugged[1])
        _ = try await bench.obey("usb other 1209 0002 SIM0002")
        _ = try await bench.obey("usb malformed 1209 0004 SIM0004")
        _ = try await bench.obey("usb composite 1209 0005 SIM0005")
        _ = try await bench.obey("usb mouse 1209 0006 SIM0006")
        _ = try await bench.obey("usb stubborn 1209 0007 SIM0007")
        _ = try await bench.obey("start")
        #expect(
            await bench.event() == "arrived \(path) \(node) usb 1209 0001 SIM0001 030000,0f0000")

        #expect(await bench.event() == "interrupt 01 02 03 00 00 00 00 00")
        #expect(await bench.event() == "too long EMSGSIZE")
        #expect(await bench.event() == "control 34 12 00 01 02 03")
        #expect(await bench.event() == "refused EPIPE, accepted []")
        #expect(await bench.event() == "cancelled ECANCELED, timed out ETIMEDOUT")
        #expect(await bench.event() == "streamed 2000 of 2000 in order, times rise")
        #expect(await bench.event() == "after a halt 07 00 00 00 00 00 00 00")
        #expect(await bench.event() == "halted write EPIPE, then 08 00 00 00 00 00 00 00")
        #expect(await bench.event() == "closed nil, then gone")
        #expect(await bench.event() == "bulk 64 100, streamed 500 of 500 in order")
        #expect(await bench.event() == "renewed nil, then 2B")
        #expect(await bench.event() == "in use busy, then 2D")
        #expect(await bench.event() == "closed gone")
        #expect(await bench.event() == "overflow after a clean beginning")
        #expect(await bench.event() == "missing gone, shapeless ENXIO, malformed ENXIO")
        #expect(await bench.event() == "behind a keyboard 2A 00 00 00 00 00 00 00")
        #expect(await bench.event() == "where an output is 06 00 00 00 00 00 00 00")
        #expect(await bench.event() == "in its setting 01, renewed nil, then 02")
        #expect(await bench.event() == "mouse ENXIO, stubborn libusb_set_interface_alt_setting")
        #expect(await bench.event() == "pulled: clean beginning, gone, write gone, control gone")
        #expect(await bench.event() == "waiting")
        let seen = try await bench.obey("seen monitor").split(separator: " ").map(String.init)
        #expect(!seen.contains { $0.hasPrefix("failed") || $0.hasPrefix("unknown") }, "\(seen)")
        // The kernel's driver is detached by each claim, and given back by each release.
        let claims = seen.filter { $0.hasPrefix("detach+claim") }
        #expect(claims.map { String($0.suffix(2)) } == ["00", "01", "01", "01", "01", "00", "00"])
        let sessions = seen.split { $0.hasPrefix("detach+claim") }
        // Nothing has been seen of the last one yet but that it began.
        #expect(seen.first == claims.first && sessions.count == claims.count - 1)
        let configured = sessions.map { $0.filter { $0.hasPrefix("configuration:") } }
        let released = zip(sessions, configured).map { $0.dropLast($1.count).suffix(2) }
        #expect(
            released.allSatisfy {
                $0.first?.hasPrefix("release:") == true && $0.last?.hasPrefix("attach:") == true
            })
        // Only what nobody else uses begins anew; the interface is given back before, and claimed afterwards.
        #expect(configured == [[], [], ["configuration:-1", "configuration:1"], ["configuration:-1"], [], []])
        #expect(sessions[0].contains("control:21:09:0300:0000:0101"))
        #expect(sessions[0].filter { $0.hasPrefix("clear") } == ["clear:81", "clear:02"])
        // An empty packet ends what fills its last packet, and nothing else.
        #expect(sessions[1].count { $0 == "zlp" } == 1 && sessions[1].contains("out:04:100"))
        try await seenElsewhere(bench)
        _ = try await bench.obey("unplug monitor")
        #expect(await bench.event() == "pending read gone")
        #expect(await bench.event() == "departed \(path)")
        #expect(await bench.answer() == "exit 0")
    }

    /// Another function's driver is left alone, a setting is selected behind each claim, requests to the interface carry its
    /// number.
    private func seenElsewhere(_ bench: Bench) async throws {
        let composite = try await bench.obey("seen composite").split(separator: " ").map(String.init)
        let taken = composite.filter { word in
            ["detach", "claim", "setting", "release", "attach", "control", "failed", "nowhere", "another"].contains {
                word.hasPrefix($0)
            }
        }
        let first = ["detach+claim:01", "setting:01:1"]
        let reports = ["control:21:09:0300:0001:0101", "control:21:09:0200:0001:2a00000000000000"]
        let second = ["detach+claim:01", "setting:01:2", "release:01", "attach:01"]
        let bulk = ["detach+claim:02", "setting:02:1", "release:02", "attach:02"]
        #expect(taken == first + reports + ["release:01", "attach:01"] + second + bulk + bulk)
        #expect(composite.contains("out:06:8"))
        // Nothing of what has nothing for us is taken, and what can't be selected is given back.
        #expect(try await bench.obey("seen mouse") == "-")
        #expect(
            try await bench.obey("seen stubborn").split(separator: " ") == [
                "detach+claim:01", "setting:01:1", "release:01", "attach:01",
            ])
    }
}

@Suite struct InsideUSBTestbed {
    static let hid = USBShape(
        interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: false))
    static let hidWithOutput = USBShape(
        interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: true))
    static let bulk = USBShape(interface: .ofClass(0x0F), endpoints: .bulk)

    @Test(.enabled(if: ProcessInfo.processInfo.environment["ESS_INSIDE_USB_TESTBED"] != nil, "run by USBPortTests"))
    func speaksToTheDevice() async throws {
        let watcher = Watcher(matches: [
            PortMatch(subsystem: "usb", vendorID: nil, productID: nil, interface: "0f0000"),
            PortMatch(subsystem: "usb", vendorID: "1209", productID: "0006"),
        ])
        await watcher.start()
        var events = watcher.events.makeAsyncIterator()
        var found: [PortCandidate] = []
        while found.count < 6, case .arrived(let candidate)? = await events.next() { found.append(candidate) }
        let device = try #require(found.first { $0.productID == "0001" })
        let other = try #require(found.first { $0.productID == "0002" })
        tell(
            "arrived \(device.syspath) \(device.devnode) \(device.subsystem) \(device.vendorID ?? "-") "
                + "\(device.productID ?? "-") \(device.usbSerial ?? "-") \(device.interfaces.joined(separator: ","))")
        try await interrupt(device.devnode)
        try await bulkAndReports(device.devnode)
        try await renewal(device.devnode)
        try await overflow(device.devnode)
        let malformed = try #require(found.first { $0.productID == "0004" })
        await refusals(device.devnode, malformed.devnode)
        try await elsewhere(try #require(found.first { $0.productID == "0005" }).devnode)
        await refused(
            mouse: try #require(found.first { $0.productID == "0006" }).devnode,
            stubborn: try #require(found.first { $0.productID == "0007" }).devnode)
        try await pulled(other.devnode)

        let port = try await USBPort.open(device.devnode, shape: Self.hid)
        async let rest = port.drainUSB()
        // The transfers are in flight when `open` returns.
        tell("waiting")
        tell("pending read \(name(await rest.1))")
        await port.close()
        while let event = await events.next() {
            guard case .departed(let path) = event, path == device.syspath else { continue }
            tell("departed \(path)")
            break
        }
        await watcher.stop()
    }

    private func interrupt(_ node: String) async throws {
        let port = try await USBPort.open(node, shape: Self.hid)
        try await port.write([1, 2, 3])
        tell("interrupt \(try await port.next())")
        tell("too long \(name(await failure { try await port.write(Array(repeating: 0, count: 9)) }))")
        let read = ControlRequest(type: 0xC0, request: 0x01, value: 0x1234, index: 0, length: 6)
        tell("control \(hexadecimal(try await port.control(read)))")
        let refused = ControlRequest(type: 0x40, request: 0x7F, value: 0, index: 0)
        let report = ControlRequest(type: 0x21, request: 0x09, value: 0x0300, index: 0, data: [1, 1])
        let error = await failure { _ = try await port.control(refused) }
        tell("refused \(name(error)), accepted \(try await port.control(report))")
        let silent = ControlRequest(type: 0x40, request: 0x7E, value: 0, index: 0)
        let task = Task { await failure { _ = try await port.control(silent) } }
        // Cancelled before it is submitted or afterwards: it ends in the same way.
        task.cancel()
        let cancelled = await task.value
        tell("cancelled \(name(cancelled)), timed out \(name(await failure { _ = try await port.control(silent) }))")
        try await port.write([0xF0, 0xD0, 0x07])
        tell("streamed " + (try await port.streamed(2000, size: 8)) + ", times rise")
        try await port.write([0xF1])
        // The halt is met by the read that is pending; what is said after it was cleared comes.
        try await port.write([7])
        tell("after a halt \(try await port.next())")
        try await port.write([0xF2])
        let halted = await failure { try await port.write([8]) }
        try await port.write([8])
        tell("halted write \(name(halted)), then \(try await port.next())")
        async let rest = port.drainUSB()
        await port.close()
        await port.close()
        tell("closed \(name(await rest.1)), then \(name(await failure { try await port.write([1]) }))")
    }

    private func bulkAndReports(_ node: String) async throws {
        let port = try await USBPort.open(node, shape: Self.bulk)
        var counts: [Int] = []
        for count in [64, 100] {
            try await port.write(Array(repeating: 0x11, count: count))
            counts.append(try await port.receiveUSB(count).count)
        }
        try await port.write([0xF0, 0xF4, 0x01])
        let streamed = try await port.streamed(500, size: 64)
        tell("bulk \(counts[0]) \(counts[1]), streamed \(streamed)")
        await port.close()
    }

    /// The composite device (`usb_device.py`): nothing is in the first interface, nor in anybody's first setting.
    private func elsewhere(_ node: String) async throws {
        let reports = try await USBPort.open(node, shape: Self.hid)
        _ = try await reports.control(
            ControlRequest(type: 0x21, request: 0x09, value: 0x0300, index: 0, data: [1, 1]))
        try await reports.write([0x2A])
        tell("behind a keyboard \(try await reports.next())")
        await reports.close()
        let output = try await USBPort.open(node, shape: Self.hidWithOutput)
        try await output.write([0x06])
        tell("where an output is \(try await output.next())")
        await output.close()
        let bulk = try await USBPort.open(node, shape: Self.bulk)
        try await bulk.write([0x01])
        let before = try await bulk.next()
        let renewed = await failure { try await bulk.renew() }
        try await bulk.write([0x02])
        tell("in its setting \(before), renewed \(name(renewed)), then \(try await bulk.next())")
        await bulk.close()
    }

    private func refused(mouse: String, stubborn: String) async {
        let nothing = await failure { _ = try await USBPort.open(mouse, shape: Self.hid) }
        let unselected = await failure { _ = try await USBPort.open(stubborn, shape: Self.hid) }
        guard case .system(let call, _) = unselected else { return tell("mouse or stubborn let us in") }
        tell("mouse \(name(nothing)), stubborn \(call)")
    }

    private func renewal(_ node: String) async throws {
        let port = try await USBPort.open(node, shape: Self.bulk)
        // It halts; what it would have said is lost with the configuration.
        try await port.write([0xF1])
        try await port.write([0x2A])
        let renewed = await failure { try await port.renew() }
        try await port.write([0x2B])
        tell("renewed \(name(renewed)), then \(try await port.next())")
        try await port.write([0xF4, 1])
        let inUse = await failure { try await port.renew() }
        try await port.write([0x2D])
        tell("in use \(name(inUse)), then \(try await port.next())")
        await port.close()
        tell("closed \(name(await failure { try await port.renew() }))")
    }

    private func overflow(_ node: String) async throws {
        let port = try await USBPort.open(node, shape: Self.hid, bound: 4000)
        try await port.write([0xF0, 0xD0, 0x07])
        // Nobody reads until the port has given up: a write fails then.
        while await failure({ try await port.write([1]) }) == nil {}
        let (bytes, error) = await port.drainUSB()
        tell("\(name(error)) after a \(isClean(bytes, size: 8) ? "clean" : "broken") beginning")
        await port.close()
    }

    /// The malformed one announces endpoints that nobody can read (libusb leaves their number and no array).
    private func refusals(_ node: String, _ malformed: String) async {
        let missing = await failure { _ = try await USBPort.open("/dev/bus/usb/001/099", shape: Self.hid) }
        let shape = USBShape(interface: .ofClass(0x08), endpoints: .bulk)
        let shapeless = await failure { _ = try await USBPort.open(node, shape: shape) }
        let unreadable = await failure { _ = try await USBPort.open(malformed, shape: Self.bulk) }
        tell("missing \(name(missing)), shapeless \(name(shapeless)), malformed \(name(unreadable))")
    }

    private func pulled(_ node: String) async throws {
        let port = try await USBPort.open(node, shape: Self.hid)
        try await port.write([0xF0, 0xFF, 0xFF])
        let begun = try await port.receiveUSB(800)
        // The device pulls its own cable, thousands of reports still to come. The write may notice it.
        _ = await failure { try await port.write([0xF3]) }
        let (rest, error) = await port.drainUSB()
        let write = await failure { try await port.write([1]) }
        let control = await failure {
            _ = try await port.control(ControlRequest(type: 0xC0, request: 1, value: 0, index: 0, length: 2))
        }
        await port.close()
        let state = isClean(begun + rest, size: 8) ? "clean" : "broken"
        tell("pulled: \(state) beginning, \(name(error)), write \(name(write)), control \(name(control))")
    }

    private func tell(_ text: String) { FileHandle.standardOutput.write(Data("EVENT \(text)\n".utf8)) }

    private func failure(_ body: () async throws -> Void) async -> PortError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? PortError ?? .system("\(error)", 0)
        }
    }

    private func name(_ error: PortError?) -> String {
        switch error {
        case nil: "nil"
        case .gone: "gone"
        case .overflow: "overflow"
        case .busy: "busy"
        case .system(_, EPIPE): "EPIPE"
        case .system(_, ETIMEDOUT): "ETIMEDOUT"
        case .system(_, ECANCELED): "ECANCELED"
        case .system(_, EMSGSIZE): "EMSGSIZE"
        case .system(_, ENXIO): "ENXIO"
        case let other?: "\(other)"
        }
    }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
}

/// Numbered reports without a hole, from 0.
private func isClean(_ bytes: [UInt8], size: Int) -> Bool {
    bytes.count.isMultiple(of: size)
        && stride(from: 0, to: bytes.count, by: size).allSatisfy {
            Int(bytes[$0]) | Int(bytes[$0 + 1]) << 8 == $0 / size && bytes[$0 + 2] == 0x5A
        }
}

extension USBPort {
    fileprivate func next() async throws -> String {
        var iterator = incoming.makeAsyncIterator()
        return hexadecimal(try await iterator.next()?.bytes ?? [])
    }

    fileprivate func receiveUSB(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var iterator = incoming.makeAsyncIterator()
        while bytes.count < count, let arrival = try await iterator.next() { bytes += arrival.bytes }
        return bytes
    }

    fileprivate func streamed(_ count: Int, size: Int) async throws -> String {
        var bytes: [UInt8] = []
        var last: UInt64 = 0
        var rises = true
        var iterator = incoming.makeAsyncIterator()
        while bytes.count < count * size, let arrival = try await iterator.next() {
            bytes += arrival.bytes
            rises = rises && arrival.at >= last
            last = arrival.at
        }
        return "\(bytes.count / size) of \(count) \(isClean(bytes, size: size) && rises ? "in order" : "broken")"
    }

    fileprivate func drainUSB() async -> ([UInt8], PortError?) {
        var bytes: [UInt8] = []
        do {
            for try await arrival in incoming { bytes += arrival.bytes }
            return (bytes, nil)
        } catch {
            return (bytes, error as? PortError)
        }
    }
}
