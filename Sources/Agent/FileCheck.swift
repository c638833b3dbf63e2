import Logging
import Store

/// Looks at the store's file every day: at a start only small ones are checked, and a daemon runs for weeks. A damaged page that nobody
/// reads would only be found when a recording on it is to be sent.
struct FileCheck: Sendable {
    let store: Store
    let logger: Logger

    /// A quarter of an hour after a start the nurse's first minutes are over.
    static let first = Duration.seconds(900)
    static let interval = Duration.seconds(86_400)

    func run() async {
        var pause = Self.first
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            guard !Task.isCancelled else { return }
            await once()
            pause = Self.interval
        }
    }

    func once() async {
        do throws(StoreError) {
            let problems = try await store.checkFile()
            guard !problems.isEmpty else { return }
            logger.warning(
                "the store is damaged; the next start copies what is readable into a new file",
                metadata: ["damage": "\(problems.prefix(3).joined(separator: "; "))"])
        } catch {
            logger.error("the store can't be checked", metadata: ["error": "\(error)"])
        }
    }
}
