import Clinical
import Glibc
import Store

/// One thing that `ess-agent doctor` looked at, in plain words and with what to do, in French for the nurse and in English
/// for whoever she calls. Never an identity.
public struct Finding: Codable, Sendable, Equatable {
    public enum Level: String, Codable, Sendable, CaseIterable {
        case well
        /// It works; somebody should look at it.
        case attention
        /// Something doesn't work, or isn't safe.
        case failure
    }

    /// `store`, `audit`, `key`, `permissions`, `device`, `clock`, `disk`, `server`, `agent`, `decisions`.
    public var check: String
    public var level: Level
    public var french: String
    public var english: String

    init(_ check: String, _ level: Level, _ french: String, _ english: String) {
        self.check = check
        self.level = level
        self.french = french
        self.english = english
    }
}

public struct DoctorView: Codable, Sendable, Equatable {
    public var findings: [Finding]

    public init(findings: [Finding]) { self.findings = findings }

    /// The worst of all.
    public var level: Finding.Level {
        let levels = Set(findings.map(\.level))
        return levels.contains(.failure) ? .failure : levels.contains(.attention) ? .attention : .well
    }
}

/// What can be seen without the store: files, their modes, the clock, the disk, the cables' supervisor. The daemon looks
/// with its own rights; `ess-agent doctor` does when there is no daemon.
public struct Doctor: Sendable {
    private let configuration: Configuration
    private let clock = HostClock()
    private let sealed: String

    /// Where the keys lie that systemd opens for the service alone.
    public static let sealedKeys = "/etc/credstore.encrypted"

    /// - Parameter sealed: another place for them.
    public init(_ configuration: Configuration, sealed: String = Self.sealedKeys) {
        self.configuration = configuration
        self.sealed = sealed
    }

    public func look() -> [Finding] {
        [directory, database, key, certificates, disk].compactMap { $0 } + time + [supervisor]
    }

    private var directory: Finding {
        switch FileFacts(configuration.stateDirectory) {
        case .missing: .noStateDirectory
        case .denied: .stateDirectoryDenied
        case .found(let facts):
            if !facts.isDirectory {
                .stateDirectoryIsNone
            } else if facts.mode & 0o077 != 0 {
                .stateDirectoryOpen
            } else {
                .permissionsWell
            }
        }
    }

    private var database: Finding? {
        guard case .found(let facts) = FileFacts("\(configuration.stateDirectory)/\(Store.fileName)") else {
            return nil
        }
        return facts.mode & 0o077 == 0 ? nil : .databaseOpen
    }

    private var key: Finding {
        let path = configuration.masterKeyPath
        switch FileFacts(path) {
        case .missing:
            switch FileFacts("\(sealed)/ess-agent.master-key") {
            case .found: return .keySealed
            case .denied: return .keyDenied
            case .missing: break
            }
            if case .found = FileFacts("\(configuration.stateDirectory)/\(Store.fileName)") { return .keyLost }
            return .keyNotYet
        case .denied: return .keyDenied
        case .found(let facts):
            guard facts.size == 32 else { return .keyUnusable }
            if configuration.masterKeyIsCredential { return .keyFromCredential }
            return facts.mode & 0o077 == 0 ? .keyFile : .keyOpen
        }
    }

    private var certificates: Finding? {
        let files = [configuration.serverCA, configuration.clientCertificate, configuration.clientKey].compactMap { $0 }
        for path in files {
            if case .found = FileFacts(path) { continue }
            // Opened by systemd for the service, and there only while it runs.
            if path == configuration.clientKey, path.hasPrefix("/run/credentials/") {
                if case .missing = FileFacts("\(sealed)/ess-agent.client-key") { return .certificateMissing }
                continue
            }
            return .certificateMissing
        }
        guard let key = configuration.clientKey, case .found(let facts) = FileFacts(key) else { return nil }
        return facts.mode & 0o007 == 0 ? nil : .clientKeyOpen
    }

    private var disk: Finding? {
        guard let free = DiskPolicy.freeSpace(at: configuration.stateDirectory) else { return nil }
        return switch DiskPolicy().verdict(free: free) {
        case .ample: .diskWell(free)
        case .low: .diskLow(free)
        case .refuseStart, .stopRunning: .diskFull(free)
        }
    }

    private var time: [Finding] {
        var findings: [Finding] = []
        // This program did not exist before.
        if clock.wall < 1_767_225_600_000 {
            findings.append(.clockInThePast)
        } else if clock.isSynchronised == false {
            findings.append(.clockNotSynchronised)
        } else {
            findings.append(.clockWell(isKnown: clock.isSynchronised != nil))
        }
        // No place where this is used has UTC in summer.
        if let summer = LocalTime("2026-07-01 12:00:00"), utcOffsetMinutes(at: summer) == 0 {
            findings.append(.zoneIsUTC)
        }
        return findings
    }

    private var supervisor: Finding {
        if case .found = FileFacts("/run/udev/control") { .udevWell } else { .udevMissing }
    }
}

/// What the file system says of a path, without opening anything.
enum FileFacts {
    struct Facts {
        var mode: mode_t
        var size: Int64
        var isDirectory: Bool
    }

    case missing, denied
    case found(Facts)

    init(_ path: String) {
        var status = stat()
        // unsafe: C string bridging and an out parameter, both for the call only.
        guard unsafe stat(path, &status) == 0 else {
            self = errno == EACCES ? .denied : .missing
            return
        }
        self = .found(
            Facts(
                mode: status.st_mode & 0o7777, size: Int64(status.st_size),
                isDirectory: status.st_mode & S_IFMT == S_IFDIR))
    }
}
