import Foundation
import Ports
import Testing
import Wire

/// The real libudev in umockdev's test bed. The test bed needs a process of its own, so the test runs this very program
/// again in it, with only `InsideTestbed`, and drives both.
@Suite(.timeLimit(.minutes(2))) struct WatcherTests {
    @Test(.enabled(if: Bench.isInstalled, "needs umockdev, gir1.2-umockdev-1.0 and python3-gi"))
    func devicesComeAndGo() async throws {
        let bench = try Bench(running: "InsideTestbed", environment: ["ESS_INSIDE_TESTBED": "1"])
        let first = try Pty()
        let second = try Pty()
        let other = try Pty()
        #expect(await bench.answer() == "ok ready")
        // There before the program starts: found by the enumeration. The other one isn't looked for.
        let one = try await bench.obey("add ttyUSB7 \(first.path) 10c4 ea60 SIM0001 CP2102_Bridge")
        _ = try await bench.obey("add ttyS9 \(other.path) 1234 ea60 SIM0009")
        _ = try await bench.obey("start")
        #expect(
            await bench.event()
                == "arrived \(one) /dev/ttyUSB7 tty 10c4 ea60 SIM0001 CP2102_Bridge platform-bench-usb-0:1:1.0")
        // The program opened what it was told, and that is our pty.
        #expect(await first.receive(1) == [0x55])
        first.send([0x11, 0x13])
        #expect(await bench.event() == "received [17, 19]")
        // Now by the monitor, which shows in the watcher's state.
        let two = try await bench.obey("add ttyUSB8 \(second.path) 10c4 ea60 SIM0002")
        #expect(
            await bench.event()
                == "arrived \(two) /dev/ttyUSB8 tty 10c4 ea60 SIM0002 USB_Serial platform-bench-usb-0:3:1.0"
        )
        #expect(await second.receive(1) == [0x55])
        second.send([1])
        #expect(await bench.event() == "received [1]")
        #expect(await bench.event() == "state watching")
        // Known already: nothing is said about a change.
        _ = try await bench.obey("change ttyUSB8")
        _ = try await bench.obey("remove ttyUSB7")
        #expect(await bench.event() == "departed \(one)")
        // The same thing in another socket.
        let again = try await bench.obey("add ttyUSB7 \(first.path) 10c4 ea60 SIM0001 LAST")
        #expect(
            await bench.event() == "arrived \(again) /dev/ttyUSB7 tty 10c4 ea60 SIM0001 LAST platform-bench-usb-0:4:1.0"
        )
        #expect(await bench.answer() == "exit 0")
        for pty in [first, second, other] { pty.hangUp() }
    }
}

@Suite struct InsideTestbed {
    @Test(.enabled(if: ProcessInfo.processInfo.environment["ESS_INSIDE_TESTBED"] != nil, "run by WatcherTests"))
    func tellsWhatItSees() async throws {
        let watcher = Watcher(matches: [PortMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60")])
        await watcher.start()
        var ports: [TTYPort] = []
        for await event in watcher.events {
            switch event {
            case .departed(let path): tell("departed \(path)")
            case .arrived(let found):
                let details = [
                    found.syspath, found.devnode, found.subsystem, found.vendorID, found.productID, found.usbSerial,
                    found.usbModel, found.usbPath,
                ]
                tell("arrived " + details.map { $0 ?? "-" }.joined(separator: " "))
                if found.usbModel == "LAST" {
                    for port in ports { await port.close() }
                    return await watcher.stop()
                }
                let port = try await TTYPort.open(found.devnode, line: SerialLine(speed: 115_200))
                ports.append(port)
                try await port.write([0x55])
                // The pty's other end writes both bytes at once.
                tell("received \(try await port.receive(found.devnode == "/dev/ttyUSB7" ? 2 : 1))")
                if found.devnode == "/dev/ttyUSB8" { tell("state \(watcher.state)") }
            }
        }
    }

    private func tell(_ text: String) { FileHandle.standardOutput.write(Data("EVENT \(text)\n".utf8)) }
}
