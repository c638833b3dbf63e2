import Foundation
import Store
import Testing

@testable import Agent

@Suite("A key that is sealed for the service")
struct SealedKeyTests {
    private let root = FileManager.default.temporaryDirectory.appending(path: "ess-sealed-\(UUID().uuidString)")

    private func configuration() throws -> Configuration {
        let state = root.appending(path: "state")
        try FileManager.default.createDirectory(
            at: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        var configuration = Configuration()
        try configuration.apply(
            """
            state-directory = \(state.path)
            client-key = /run/credentials/ess-agent.service/client-key
            """, from: "test")
        return configuration
    }

    @Test("isn't lost while the service is stopped")
    func stopped() throws {
        let configuration = try configuration()
        defer { try? FileManager.default.removeItem(at: root) }
        try Data().write(to: root.appending(path: "state/ess-agent.sqlite"))
        let sealed = root.appending(path: "sealed")
        try FileManager.default.createDirectory(at: sealed, withIntermediateDirectories: true)
        func found() -> Set<String> {
            Set(Doctor(configuration, sealed: sealed.path).look().map(\.english))
        }
        #expect(found().isSuperset(of: [Finding.keyLost.english, Finding.certificateMissing.english]))
        for name in ["master-key", "client-key"] {
            try Data("sealed".utf8).write(to: sealed.appending(path: "ess-agent.\(name)"))
        }
        #expect(found().contains(Finding.keySealed.english))
        #expect(found().isDisjoint(with: [Finding.keyLost.english, Finding.certificateMissing.english]))
    }
}
