import Agent
import Testing

@Suite("Configuration")
struct ConfigurationTests {
    @Test func laterLayersWin() throws {
        var configuration = Configuration()
        try configuration.apply("server = https://a.example\nretry-min = 2\n# a comment\n\n", from: "vendor.conf")
        try configuration.apply("server = https://b.example\ntest-server = yes\n", from: "etc.conf")
        #expect(configuration.server == "https://b.example")
        #expect(configuration.retryMinimum == 2)
        #expect(configuration.isTestServer)
    }

    @Test func portsAdd() throws {
        var configuration = Configuration()
        try configuration.apply("port = /dev/ttyS0 contec-oximeter\nport = /dev/ttyS1 contec-oximeter\n", from: "x")
        #expect(configuration.ports.map(\.path) == ["/dev/ttyS0", "/dev/ttyS1"])
    }

    @Test(
        "an error names the file, the line and the remedy",
        arguments: [
            ("servre = https://x", "unknown key"), ("server = http://x", "https://"), ("no equals sign", "key = value"),
            ("retry-min = soon", "seconds"), ("retry-min = -1", "seconds"), ("retry-min = nan", "seconds"),
            ("test-server = maybe", "yes or no"), ("socket = relative.sock", "absolute"),
            ("port = /dev/ttyS0", "driver"),
            ("log-level = loud", "debug"),
        ])
    func errors(line: String, says: String) {
        var configuration = Configuration()
        do throws(ConfigurationError) {
            try configuration.apply("\n\(line)\n", from: "agent.conf")
            Issue.record("accepted: \(line)")
        } catch {
            #expect(error.description.hasPrefix("agent.conf:2: "))
            #expect(error.description.contains(says))
        }
    }

    @Test func unknownDriversAreNamed() throws {
        var configuration = Configuration()
        try configuration.set("port", to: "/dev/ttyS0 toaster")
        #expect(Agent.unknownDrivers(in: configuration) == ["toaster"])
    }
}
