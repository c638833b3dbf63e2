import Clinical
import Foundation
import Testing
import Wire

/// A card in memory, with files that can't be read.
struct MemoryTree: Tree {
    var files: [[String]: [UInt8]] = [:]
    var unreadable: Set<[String]> = []

    init(_ files: [(path: [String], bytes: [UInt8])] = []) {
        for (path, bytes) in files { self.files[path] = bytes }
    }

    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] {
        guard !unreadable.contains(path) else { throw .unreadable("folder", 5) }
        var entries: [String: TreeEntry] = [:]
        for (file, bytes) in files where file.starts(with: path) && file.count > path.count {
            let name = file[path.count]
            entries[name] =
                file.count > path.count + 1
                ? TreeEntry(name: name, kind: .directory, size: 0)
                : TreeEntry(name: name, kind: .file, size: bytes.count)
        }
        return Array(entries.values)
    }

    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        guard let bytes = files[path], !unreadable.contains(path) else { throw .unreadable("file", 5) }
        guard bytes.count <= limit else { throw .tooLarge("file", size: bytes.count, limit: limit) }
        return bytes
    }

    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        Array(try read(path, limit: .max).dropFirst(offset).prefix(count))
    }
}

/// Reference files that lie beside the project and are not part of it.
enum Reference {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    static func url(_ path: String) -> URL { root.deletingLastPathComponent().appending(path: "shared/\(path)") }
    static func has(_ path: String) -> Bool { FileManager.default.fileExists(atPath: url(path).path) }
    static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: url(path))) }
}

/// A folder of fixtures/: what the generators make today. ESS_WRITE_FIXTURES=1 writes it anew.
func expectFixture(_ folder: String, _ files: [(path: [String], bytes: [UInt8])]) throws {
    let root = Reference.root.appending(path: "fixtures/\(folder)")
    for (path, bytes) in files {
        let url = root.appending(path: path.joined(separator: "/"))
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1" {
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
        let kept = [UInt8](try Data(contentsOf: url))
        #expect(kept == bytes, "\(path.joined(separator: "/")) differs; ESS_WRITE_FIXTURES=1 writes it anew")
    }
}

/// Feeds a parser truncations, flipped bits and noise behind a valid beginning. Returning or throwing are both fine; crashing
/// or hanging is not.
/// - Parameters:
///   - whole: every length up to here is tried, then every `stride`th.
func tortureFile(_ valid: [UInt8], whole: Int, stride step: Int, seed: UInt64, _ parse: ([UInt8]) -> Void) {
    for length in 0...min(whole, valid.count) { parse(Array(valid.prefix(length))) }
    for length in stride(from: whole, through: valid.count, by: step) { parse(Array(valid.prefix(length))) }
    var state = seed
    func random(_ limit: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int(truncatingIfNeeded: (value ^ (value >> 31)) % UInt64(limit))
    }
    for round in 0..<60 {
        var bytes = valid
        for _ in 0..<1 + random(8) { bytes[random(bytes.count)] ^= 1 << UInt8(random(8)) }
        parse(bytes)
        bytes = valid
        // In the header, where lengths and counts are; digits too, so that numbers stay numbers.
        for _ in 0..<1 + random(6) {
            bytes[random(min(whole, bytes.count))] = UInt8(round % 2 == 0 ? random(256) : 0x2D + random(13))
        }
        parse(bytes)
        let noise = (0..<random(2048)).map { _ in UInt8(random(256)) }
        parse(noise)
        parse(Array(valid.prefix(random(valid.count))) + noise)
    }
}
