import FoundationEssentials
import Testing

@testable import Agent

@Suite struct NetworkPolicyTests {
    @Test func withoutALimitEverythingGoes() {
        #expect(NetworkPolicy().holds(.sleep, size: 1 << 30, isUrgent: false) == nil)
        #expect(!NetworkPolicy().isRestricted)
    }

    @Test func overAMeteredConnection() {
        let policy = NetworkPolicy(isMetered: true, battery: nil, budget: 1_000)
        #expect(policy.holds(.ecg, size: 1_000, isUrgent: false) == nil)
        #expect(policy.holds(.ecg, size: 1_001, isUrgent: false) == .metered)
        #expect(policy.holds(.oximetry, size: 1, isUrgent: false) == .metered)
        #expect(policy.holds(.sleep, size: 1 << 30, isUrgent: true) == nil)
    }

    @Test func onALowBattery() {
        #expect(NetworkPolicy(battery: 19).holds(.ecg, size: 1, isUrgent: true) == .battery)
        #expect(NetworkPolicy(battery: 20).holds(.ecg, size: 1, isUrgent: false) == nil)
    }
}

@Suite struct BatteryTests {
    private func machine(_ supplies: [String: [String: String]]) throws -> String {
        let root = "\(FileManager.default.temporaryDirectory.path)/ess-\(UUID().uuidString)"
        for (name, files) in supplies {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
            for (file, text) in files {
                try (text + "\n").write(toFile: "\(root)/\(name)/\(file)", atomically: false, encoding: .utf8)
            }
        }
        return root
    }

    private let low = ["type": "Battery", "status": "Discharging", "capacity": "12"]

    @Test func theLowestThatDischarges() throws {
        let high = ["type": "Battery", "status": "Discharging", "capacity": "80"]
        let root = try machine(["BAT0": low, "BAT1": high, "AC": ["type": "Mains", "online": "0"]])
        #expect(Battery.discharging(at: root) == 12)
        try FileManager.default.removeItem(atPath: root)
    }

    @Test func onMainsOrWithoutOneNobodyWorries() throws {
        let plugged = try machine(["BAT0": low, "AC": ["type": "Mains", "online": "1"]])
        #expect(Battery.discharging(at: plugged) == nil)
        let mouse = try machine(["hid": low.merging(["scope": "Device"]) { $1 }])
        #expect(Battery.discharging(at: mouse) == nil)
        #expect(Battery.discharging(at: "/nowhere") == nil)
        for root in [plugged, mouse] { try FileManager.default.removeItem(atPath: root) }
    }
}

@Suite struct ClientAssertionTests {
    @Test func anythingButAKeyIsRefused() {
        #expect(ClientAssertion(client: "laptop", keyID: nil, pem: "") == nil)
        #expect(ClientAssertion(client: "laptop", keyID: nil, pem: "-----BEGIN PRIVATE KEY-----\nAA\n") == nil)
    }
}
