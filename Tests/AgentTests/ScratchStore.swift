import Foundation
import Store

extension Store {
    /// For a test; the directory is made where it isn't there, and is the test's to remove.
    static func scratch(
        in directory: URL, now: @escaping @Sendable () -> Int64 = { 1_790_000_000_000 }
    ) async throws -> Store {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        return try await Store.open(
            directory: directory.path, key: try MasterKey(bytes: Array(0..<32)),
            environment: Store.Environment(now: now, freeSpace: { nil }, decoder: "test 1"))
    }
}
