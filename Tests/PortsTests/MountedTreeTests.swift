import Foundation
import Glibc
import Testing
import Wire

@testable import Ports

@Suite(.timeLimit(.minutes(1))) struct MountedTreeTests {
    @Test func listsInByteOrderWithKindsAndSizes() throws {
        let scratch = try Scratch()
        try scratch.write([1, 2, 3], to: "b.ECG")
        try scratch.write([], to: "B")
        try scratch.write([1], to: "é")
        try scratch.makeDirectory("DATALOG")
        try scratch.link("link", to: "b.ECG")
        try scratch.makePipe("pipe")
        let tree = try MountedTree(scratch.path)
        let expected = [
            TreeEntry(name: "B", kind: .file, size: 0), TreeEntry(name: "DATALOG", kind: .directory, size: 0),
            TreeEntry(name: "b.ECG", kind: .file, size: 3), TreeEntry(name: "link", kind: .other, size: 0),
            TreeEntry(name: "pipe", kind: .other, size: 0), TreeEntry(name: "é", kind: .file, size: 1),
        ]
        // Twice: a second look starts at the beginning again.
        for _ in 0..<2 {
            let found = try tree.list([])
            #expect(found.map { TreeEntry(name: $0.name, kind: $0.kind, size: $0.size) } == expected)
            #expect(found.allSatisfy { $0.modified > 0 })
        }
        #expect(try tree.list(["DATALOG"]).isEmpty)
    }

    @Test func namesThatAreNoTextAreNames() throws {
        let scratch = try Scratch()
        let name = Array(scratch.path.utf8) + Array("/bad".utf8) + [0xFF, 0xFE, 0]
        let file = unsafe name.withUnsafeBufferPointer { bytes in
            unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe open($0.baseAddress!, O_CREAT | O_WRONLY, 0o600) }
        }
        #expect(file >= 0)
        _ = close(file)
        try scratch.write([1], to: "good")
        let tree = try MountedTree(scratch.path)
        #expect(try tree.list([]).map(\.name) == ["bad\u{F7FF}\u{F7FE}", "good"])
        #expect(try tree.read(["bad\u{F7FF}\u{F7FE}"], limit: 10).isEmpty)
        #expect(throws: TreeError.self) { try tree.read(["bad"], limit: 10) }
    }

    @Test func everyNameHasOneWayBack() {
        var state: UInt64 = 11
        func random() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 40)
        }
        for _ in 0..<2000 {
            let bytes = (0...random() % 40).map { _ in max(1, random()) }
            #expect(EntryName.bytes(EntryName.text(bytes)) == bytes)
        }
        for name in ["é", "日本", "\u{F7FF}", "a\u{F700}b", "e\u{301}"] {
            #expect(EntryName.bytes(EntryName.text(Array(name.utf8))) == Array(name.utf8))
        }
        #expect(EntryName.text(Array("é日".utf8)) == "é日")
    }

    @Test func readsWholeFilesAndPieces() throws {
        let scratch = try Scratch()
        let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
        try scratch.makeDirectory("a/b")
        try scratch.write(bytes, to: "a/b/big")
        let tree = try MountedTree(scratch.path)
        let path = ["a", "b", "big"]
        #expect(try tree.read(path, limit: bytes.count) == bytes)
        #expect(try tree.read(path, offset: 0, count: .max) == bytes)
        #expect(try tree.read(path, offset: 300_000, count: 5) == Array(bytes[300_000..<300_005]))
        #expect(try tree.read(path, offset: 699_998, count: 100) == Array(bytes[699_998...]))
        #expect(try tree.read(path, offset: 700_000, count: 1).isEmpty)
        #expect(try tree.read(path, offset: .max, count: .max).isEmpty)
        #expect(try tree.read(path, offset: -1, count: 1).isEmpty)
        #expect(try tree.read(path, offset: 0, count: -1).isEmpty)
        #expect(throws: TreeError.tooLarge("a/b/big", size: bytes.count, limit: bytes.count - 1)) {
            try tree.read(path, limit: bytes.count - 1)
        }
    }

    @Test func aSparseGiantIsTooLargeAtOnce() throws {
        let scratch = try Scratch()
        try scratch.write([1], to: "giant")
        try scratch.resize("giant", to: 1 << 40)
        let tree = try MountedTree(scratch.path)
        #expect(throws: TreeError.tooLarge("giant", size: 1 << 40, limit: 1 << 20)) {
            try tree.read(["giant"], limit: 1 << 20)
        }
        #expect(try tree.read(["giant"], offset: 0, count: 4) == [1, 0, 0, 0])
    }

    @Test func filesWithoutASizeAreBoundedToo() throws {
        // Files of /proc say 0 and hold more.
        let tree = try MountedTree("/proc/self")
        #expect(throws: TreeError.self) { try tree.read(["maps"], limit: 100) }
        #expect(try !tree.read(["stat"], limit: 10_000).isEmpty)
    }

    @Test func linksAreNotFollowed() throws {
        let scratch = try Scratch()
        let outside = try Scratch()
        try outside.write([42], to: "secret")
        try scratch.makeDirectory("inside")
        try scratch.write([1], to: "inside/file")
        try scratch.link("out", to: outside.path)
        try scratch.link("in", to: "inside")
        try scratch.link("file", to: "\(outside.path)/secret")
        try scratch.link("dangling", to: "nowhere")
        try scratch.link("loop", to: "loop")
        let tree = try MountedTree(scratch.path)
        for name in ["file", "dangling", "loop", "in", "out"] {
            #expect(throws: TreeError.notAFile(name)) { try tree.read([name], limit: 100) }
            #expect(throws: TreeError.notADirectory(name)) { try tree.list([name]) }
        }
        #expect(throws: TreeError.self) { try tree.read(["out", "secret"], limit: 100) }
        #expect(throws: TreeError.self) { try tree.read(["in", "file"], limit: 100) }
    }

    @Test(arguments: [
        [".."], ["..", "etc", "passwd"], ["a/../../etc"], ["/etc/passwd"], [""], ["."], ["a", "..", ".."],
        ["a\0b"], [String(repeating: "x", count: 300)], Array(repeating: "a", count: 1000),
    ])
    func nothingOutsideCanBeNamed(path: [String]) throws {
        let scratch = try Scratch()
        try scratch.makeDirectory("a")
        let tree = try MountedTree(scratch.path)
        #expect(throws: TreeError.self) { try tree.list(path) }
        #expect(throws: TreeError.self) { try tree.read(path, limit: 100) }
        #expect(throws: TreeError.self) { try tree.read(path, offset: 0, count: 1) }
    }

    @Test func pipesAndDevicesNeitherHangNorOpen() throws {
        let scratch = try Scratch()
        try scratch.makePipe("pipe")
        let tree = try MountedTree(scratch.path)
        #expect(throws: TreeError.notAFile("pipe")) { try tree.read(["pipe"], limit: 100) }
        #expect(throws: TreeError.notADirectory("pipe")) { try tree.list(["pipe"]) }
        #expect(throws: TreeError.notAFile("null")) { try MountedTree("/dev").read(["null"], limit: 100) }
    }

    @Test func kindsAreNotMixedUp() throws {
        let scratch = try Scratch()
        try scratch.makeDirectory("folder")
        try scratch.write([1], to: "file")
        let tree = try MountedTree(scratch.path)
        #expect(throws: TreeError.notAFile("folder")) { try tree.read(["folder"], limit: 10) }
        #expect(throws: TreeError.notADirectory("file")) { try tree.list(["file"]) }
        #expect(throws: TreeError.notADirectory("file")) { try tree.read(["file", "x"], limit: 10) }
        #expect(throws: TreeError.notFound("none")) { try tree.read(["none"], limit: 10) }
        #expect(throws: TreeError.notAFile("/")) { try tree.read([], limit: 10) }
        #expect(throws: TreeError.self) { try MountedTree("\(scratch.path)/file") }
        #expect(throws: TreeError.self) { try MountedTree("\(scratch.path)/none") }
    }

    @Test(.enabled(if: geteuid() != 0, "root may read everything"))
    func permissionsAreSaid() throws {
        let scratch = try Scratch()
        try scratch.write([1], to: "locked")
        try scratch.lock("locked")
        let tree = try MountedTree(scratch.path)
        #expect(throws: TreeError.denied("locked")) { try tree.read(["locked"], limit: 10) }
    }

    @Test func deepTrees() throws {
        let scratch = try Scratch()
        let path = Array(repeating: "d", count: 60)
        try scratch.makeDirectory(path.joined(separator: "/"))
        try scratch.write([9], to: (path + ["f"]).joined(separator: "/"))
        let tree = try MountedTree(scratch.path)
        #expect(try tree.read(path + ["f"], limit: 1) == [9])
        #expect(try tree.list(path).map(\.name) == ["f"])
    }

    @Test func readsManyTimesWithoutLosingDescriptors() throws {
        let scratch = try Scratch()
        try scratch.write([9], to: "f")
        let tree = try MountedTree(scratch.path)
        // More often than a process may have files open.
        for _ in 0..<3000 {
            _ = try tree.list([])
            _ = try tree.read(["f"], limit: 1)
            _ = try? tree.read(["none", "none"], limit: 1)
        }
    }
}
