import Dispatch
import Foundation
import Synchronization
import Testing

/// `udev_testbed.py` at work.
final class Bench: Sendable {
    static let script = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "Bench/udev_testbed.py").path

    static var isInstalled: Bool {
        let files = FileManager.default
        let libraries = (try? files.contentsOfDirectory(atPath: "/usr/lib")) ?? []
        return files.isExecutableFile(atPath: "/usr/bin/umockdev-wrapper")
            && files.fileExists(atPath: "/usr/lib/python3/dist-packages/gi") && files.fileExists(atPath: script)
            && libraries.contains { files.fileExists(atPath: "/usr/lib/\($0)/girepository-1.0/UMockdev-1.0.typelib") }
    }

    private let commands: FileHandle
    private let answers: Lines
    private let output: Lines

    /// `suite`: of this very program, with the environment that lets it run.
    init(running suite: String, environment: [String: String]) throws {
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let process = Process()
        process.executableURL = URL(filePath: Self.script)
        process.arguments = [
            "--wait", "--", program, "--testing-library", "swift-testing", "--filter", suite,
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let input = Pipe()
        let answers = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = answers
        process.standardError = output
        commands = input.fileHandleForWriting
        self.answers = Lines(answers.fileHandleForReading)
        self.output = Lines(output.fileHandleForReading)
        try process.run()
    }

    /// What stands behind `ok`.
    func obey(_ command: String) async throws -> String {
        try commands.write(contentsOf: Data("\(command)\n".utf8))
        let answer = await answer()
        try #require(answer.hasPrefix("ok"), "\(command): \(answer)")
        return String(answer.dropFirst(3))
    }

    func answer() async -> String { await answers.next() ?? "the bench has ended" }

    /// The next thing that the program inside told.
    func event() async -> String {
        while let line = await output.next() {
            if let event = line.split(separator: "EVENT ", maxSplits: 1).last, line.contains("EVENT ") {
                return String(event)
            }
        }
        return "the program has ended"
    }
}

/// Waits for lines on a thread that may block.
private final class Lines: Sendable {
    private let handle: FileHandle
    private let queue = DispatchQueue(label: "lines")
    private let rest = Mutex<[UInt8]>([])

    init(_ handle: FileHandle) { self.handle = handle }

    func next() async -> String? {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.line()) }
        }
    }

    private func line() -> String? {
        rest.withLock { rest in
            while true {
                if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    defer { rest.removeFirst(end + 1) }
                    return String(decoding: rest[..<end], as: UTF8.self)
                }
                let more = handle.availableData
                if more.isEmpty { return nil }
                rest += more
            }
        }
    }
}
