import Clinical
import Devices
import Foundation
import Logging
import Ports
import Store
import Testing
import Wire

@testable import Agent

extension DeviceHub {
    fileprivate func plug(_ name: String, serial: String) {
        let candidate = PortCandidate(syspath: "/sys/\(name)", devnode: "/dev/\(name)", subsystem: "tty")
        var entry = Plugged(candidate: candidate, state: .ready)
        entry.identity = DeviceIdentity(
            driver: "contec-oximeter", vendor: "Contec", model: "CMS50F", serial: serial, support: .verified)
        entry.profile = Registry.dialogues.first { $0.name == "contec-oximeter" }
        plugged[candidate.id] = entry
    }

    fileprivate func port(of name: String) throws(Problem) -> String? { plugged[try find(name)]?.candidate.name }
}

@Suite("A device is named")
struct DeviceNameTests {
    @Test("by its port, and by its serial number only where no other has it")
    func names() async throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "ess-names-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        let store = try await Store.scratch(in: root)
        let hub = DeviceHub(
            store: store, clock: HostClock(), logger: Logger(label: "test"),
            openPort: { (_, _) throws(PortError) in throw .busy }, changed: {})
        await hub.plug("ttyUSB0", serial: "0001")
        #expect(try await hub.port(of: "0001") == "ttyUSB0")
        #expect(try await hub.port(of: "contec-oximeter") == "ttyUSB0")
        // A factory's number for all of them; and one whose number is the other one's port.
        await hub.plug("ttyUSB1", serial: "0001")
        await hub.plug("ttyUSB2", serial: "ttyUSB1")
        #expect(try await hub.port(of: "ttyUSB1") == "ttyUSB1")
        #expect(try await hub.port(of: "/dev/ttyUSB0") == "ttyUSB0")
        await #expect(throws: Problem.deviceAmbiguous("0001", ["ttyUSB0", "ttyUSB1"])) {
            try await hub.port(of: "0001")
        }
        await #expect(throws: Problem.deviceAmbiguous("contec-oximeter", ["ttyUSB0", "ttyUSB1", "ttyUSB2"])) {
            try await hub.port(of: "contec-oximeter")
        }
        try await store.close()
    }
}
