import FoundationEssentials
import Glibc

/// A key or file of the configuration that can't be used, with what to do.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}

/// A serial port that is not found by udev but named by hand: an adapter with an unusual id, a simulator's pty.
public struct NamedPort: Sendable, Equatable {
    public var path: String
    /// Registry name of the driver to probe with.
    public var driver: String
}

/// The agent's settings. Layers, later ones win: built-in defaults, `/usr/lib/ess-agent/ess-agent.conf`,
/// `/etc/ess-agent/ess-agent.conf`, `/etc/ess-agent/ess-agent.conf.d/*.conf`, then the command line.
///
/// The format is `key = value`, one per line, `#` starts a comment line. It is small on purpose: an administrator
/// edits it with any editor, and an unknown key is an error that names the file and the line.
public struct Configuration: Sendable, Equatable {
    /// Where the database lives: `state-directory`.
    public var stateDirectory = "/var/lib/ess-agent"
    /// The command line's door: `socket`.
    public var socket = "/run/ess-agent/api.sock"
    /// `https://…`: `server`. Nil: this laptop isn't enrolled yet, everything is kept and nothing is sent.
    public var server: String?
    /// PEM file of the CA that signed the server's certificate: `server-ca`.
    public var serverCA: String?
    /// PEM files that say who this laptop is: `client-certificate`, `client-key`.
    public var clientCertificate: String?
    public var clientKey: String?
    /// FHIR reference of the mobile team whose visits come down: `team`.
    public var team = "Organization/equipe-mobile"
    /// This laptop's name at the server, no person's name: `laptop`.
    public var laptop = "ess-laptop"
    /// 32 bytes that everything at rest is sealed with: `master-key`. Default: the systemd credential `master-key`,
    /// else `master.key` in the state directory, made at the first start.
    public var masterKey: String?
    /// Simulated recordings are sent only to a server that is declared a test server: `test-server = yes`.
    public var isTestServer = false
    /// Shortest and longest pause between two attempts to reach the server, seconds: `retry-min`, `retry-max`.
    public var retryMinimum = 5.0
    public var retryMaximum = 300.0
    /// Pause between two looks at the worklist while online, seconds: `worklist-interval`.
    public var worklistInterval = 300.0
    /// Seconds after which the same refusal of the same thing is believed: `refusal-window`.
    public var refusalWindow = 600.0
    /// Which standards the region speaks, and what the network may be used for: Configuration+Region.swift.
    public var region = Region()
    /// Ports named by hand, may be repeated: `port = /dev/ttyS0 contec-oximeter`.
    public var ports: [NamedPort] = []
    /// Port of the page on 127.0.0.1, 0 for no page: `page-port`.
    public var pagePort = 8765
    /// Directory with a region's own pathways, over those that the agent comes with (docs/pathways.md): `pathways`.
    public var pathways: String?
    /// `debug`, `info`, `notice`, `warning`, `error`: `log-level`.
    public var logLevel = "info"

    public init() {}

    public static let layers = ["/usr/lib/ess-agent/ess-agent.conf", "/etc/ess-agent/ess-agent.conf"]
    public static let dropIns = "/etc/ess-agent/ess-agent.conf.d"

    /// Reads the system's layers, or only `file` when one is named; a named file must exist.
    public static func load(file: String?) throws(ConfigurationError) -> Configuration {
        var configuration = Configuration()
        if let file {
            guard let text = read(file) else {
                throw ConfigurationError("\(file): can't be read (\(reason(errno))). Check the path given to --config.")
            }
            try configuration.apply(text, from: file)
            return configuration
        }
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: dropIns)) ?? []).sorted()
        for path in layers + names.filter({ $0.hasSuffix(".conf") }).map({ "\(dropIns)/\($0)" }) {
            if let text = read(path) {
                try configuration.apply(text, from: path)
            } else if errno != ENOENT {
                throw ConfigurationError("\(path): can't be read (\(reason(errno))). Check its owner and mode.")
            }
        }
        return configuration
    }

    /// Applies one file's text over what is there.
    public mutating func apply(_ text: String, from file: String) throws(ConfigurationError) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = trimmed(line)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard let equals = line.firstIndex(of: "=") else {
                throw ConfigurationError("\(file):\(index + 1): expected `key = value`.")
            }
            do throws(ConfigurationError) {
                try set(trimmed(line[..<equals]), to: trimmed(line[line.index(after: equals)...]))
            } catch {
                throw ConfigurationError("\(file):\(index + 1): \(error)")
            }
        }
    }

    /// Sets one key, as a configuration line or `--set key=value` would.
    public mutating func set(_ key: String, to value: String) throws(ConfigurationError) {
        switch key {
        case "state-directory": stateDirectory = try absolute(value, key)
        case "socket": socket = try absolute(value, key)
        case "server":
            guard value.hasPrefix("https://") else {
                throw ConfigurationError("server must begin with https:// (patient data never travel in clear).")
            }
            server = value
        case "server-ca": serverCA = try absolute(value, key)
        case "client-certificate": clientCertificate = try absolute(value, key)
        case "client-key": clientKey = try absolute(value, key)
        case "master-key": masterKey = try absolute(value, key)
        case "team": team = value
        case "laptop": laptop = value
        case "test-server": isTestServer = try yesOrNo(value, key)
        case "retry-min": retryMinimum = try seconds(value, key)
        case "retry-max": retryMaximum = try seconds(value, key)
        case "worklist-interval": worklistInterval = try seconds(value, key)
        case "refusal-window": refusalWindow = try seconds(value, key)
        case "page-port":
            guard let port = Int(value), port == 0 || (1024...65_535).contains(port) else {
                throw ConfigurationError("page-port is 0 (no page) or a port from 1024 to 65535.")
            }
            pagePort = port
        case "pathways": pathways = try absolute(value, key)
        case "log-level":
            guard ["debug", "info", "notice", "warning", "error"].contains(value) else {
                throw ConfigurationError("log-level is one of debug, info, notice, warning, error.")
            }
            logLevel = value
        case "port":
            let words = value.split(separator: " ")
            guard words.count == 2, words[0].hasPrefix("/") else {
                throw ConfigurationError(
                    "port needs a path and a driver's name, for example `/dev/ttyS0 contec-oximeter`.")
            }
            ports.append(NamedPort(path: String(words[0]), driver: String(words[1])))
        default:
            guard try region.set(key, to: value) else {
                throw ConfigurationError("unknown key `\(key)`; ess-agent.conf(5) lists the keys.")
            }
        }
    }

    /// Where the master key is: the setting, else the credential that systemd passed, else the state directory.
    public var masterKeyPath: String {
        if let masterKey { return masterKey }
        if let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"] {
            let path = "\(directory)/master-key"
            if unsafe access(path, R_OK) == 0 { return path }
        }
        return "\(stateDirectory)/master.key"
    }
}

private func read(_ path: String) -> String? {
    errno = 0
    guard let file = unsafe fopen(path, "re") else { return nil }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    // A configuration is small; whatever is larger is some other file.
    while bytes.count < 1 << 20 {
        let count = unsafe fread(&buffer, 1, buffer.count, file)
        guard count > 0 else { break }
        bytes.append(contentsOf: buffer[..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
}

private func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

private func trimmed(_ text: some StringProtocol) -> String {
    var slice = text[...]
    while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
    while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
    return String(slice)
}

func absolute(_ value: String, _ key: String) throws(ConfigurationError) -> String {
    guard value.hasPrefix("/") else { throw ConfigurationError("\(key) must be an absolute path.") }
    return value
}

func yesOrNo(_ value: String, _ key: String) throws(ConfigurationError) -> Bool {
    switch value {
    case "yes", "true": return true
    case "no", "false": return false
    default: throw ConfigurationError("\(key) is yes or no.")
    }
}

func seconds(_ value: String, _ key: String) throws(ConfigurationError) -> Double {
    guard let number = Double(value), number.isFinite, number > 0, number <= 86_400 else {
        throw ConfigurationError("\(key) is a number of seconds between 0 and 86400.")
    }
    return number
}
