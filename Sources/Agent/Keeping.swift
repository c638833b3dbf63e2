import Clinical
import FoundationEssentials
import Glibc
import Store

/// What `ess-agent restore` did.
public struct RestoreView: Codable, Sendable, Equatable {
    public var recordings: Int
    /// The store that was there before, under its new name; nil when there was none.
    public var replaced: String?
}

public struct KeyRotationView: Codable, Sendable, Equatable {
    /// The file that holds the new key.
    public var key: String

    public init(key: String) { self.key = key }
}

public struct KeyRotationRequest: Codable, Sendable {
    public var by: String?
    public var acceptingBrokenTrail: Bool?

    public init(by: String?, acceptingBrokenTrail: Bool?) {
        self.by = by
        self.acceptingBrokenTrail = acceptingBrokenTrail
    }
}

/// What is done to a store while no agent runs.
public struct Keeping: Sendable {
    private let configuration: Configuration
    private let given: [UInt8]?
    private let clock = HostClock()

    /// - Parameter key: the master key, where it is sealed for the service and no file has it; nil for the configured file.
    public init(_ configuration: Configuration, key: [UInt8]? = nil) {
        self.configuration = configuration
        given = key
    }

    private func masterKey() throws(StoreError) -> MasterKey {
        if let given { return try MasterKey(bytes: given) }
        return try MasterKey.load(from: configuration.masterKeyPath, createIfMissing: false)
    }

    /// Puts a backup in the store's place; the store that was there is kept under another name.
    /// - Throws: `Problem`.
    public func restore(_ path: String, force: Bool, by actor: String) async throws(Problem) -> RestoreView {
        guard case .found = FileFacts(path) else { throw .backupNotFound }
        do throws(StoreError) {
            try StateDirectory.prepare(configuration.stateDirectory)
            let key = try masterKey()
            let report = try await Store.restore(
                from: path, to: configuration.stateDirectory, key: key, environment: configuration.environment(clock),
                force: force, by: actor)
            return RestoreView(recordings: report.recordings, replaced: report.replaced)
        } catch {
            throw switch error {
            case .wrongKey: .backupOfAnotherKey
            case .corrupt: .backupUnreadable
            case .refused: .restoreWouldLose
            default: Problem(starting: error, configuration)
            }
        }
    }

    /// Seals everything under a new key that is written to a new file: for keys that the agent can't replace itself (a
    /// systemd credential), and for an administrator who keeps keys elsewhere.
    /// - Throws: `Problem`; nothing has changed then, and the new file is gone.
    public func rotateKey(
        to path: String, acceptingBrokenTrail: Bool, by actor: String
    ) async throws(Problem) -> KeyRotationView {
        guard case .missing = FileFacts(path) else { throw .fileExists }
        do throws(StoreError) {
            let old = try masterKey()
            let store = try await Store.open(
                directory: configuration.stateDirectory, key: old, environment: configuration.environment(clock))
            do throws(StoreError) {
                let new = try MasterKey.load(from: path, createIfMissing: true)
                try await store.rotateKey(to: new, by: actor, acceptingBrokenTrail: acceptingBrokenTrail)
            } catch {
                // Not when the new key may be the one that opens it.
                if case .refused = error { unsafe unlink(path) }
                try? await store.close()
                throw error
            }
            try await store.close()
            return KeyRotationView(key: path)
        } catch {
            if case .refused = error { throw .trailIsBroken }
            throw Problem(starting: error, configuration)
        }
    }
}

extension Configuration {
    func environment(_ clock: HostClock) -> Store.Environment {
        let directory = stateDirectory
        return Store.Environment(
            now: { clock.wall }, freeSpace: { DiskPolicy.freeSpace(at: directory) },
            decoder: "ess-agent \(agentVersion)", zone: .host, coding: .standard, clocks: { clock.reading })
    }

    /// systemd passed it: only systemd-creds can replace it.
    var masterKeyIsCredential: Bool {
        guard let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"] else { return false }
        return masterKeyPath.hasPrefix(directory + "/")
    }
}

extension Problem {
    /// What stands in the way of opening the store, each with what to do. Restarting helps none of them, so that the
    /// service isn't tried again and again.
    init(starting error: StoreError, _ configuration: Configuration) {
        switch error {
        case .notFound: self = .keyMissing(configuration.masterKeyPath)
        case .badKey: self = .keyUnusable(configuration.masterKeyPath)
        case .denied: self = .directoryDenied(configuration.stateDirectory)
        case .corrupt(let what): self = .storeBeyondRepair(what)
        case .refused: self = .storeIsNewer
        default: self = Problem(error)
        }
    }
}

extension Verbs {
    /// Seals everything under a new master key and puts it into the key's file, while everything goes on.
    public func rotateKey(_ request: KeyRotationRequest) async throws -> KeyRotationView {
        try await guarded {
            guard !configuration.masterKeyIsCredential else { throw Problem.keyIsCredential }
            let path = configuration.masterKeyPath
            do throws(StoreError) {
                try await store.rotateKeyFile(
                    path, by: who(request.by), acceptingBrokenTrail: request.acceptingBrokenTrail ?? false)
            } catch {
                if case .refused = error { throw Problem.trailIsBroken }
                throw error
            }
            return KeyRotationView(key: path)
        }
    }
}
