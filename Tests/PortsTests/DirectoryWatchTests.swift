import Foundation
import Ports
import Testing

@Suite("A directory that is watched")
struct DirectoryWatchTests {
    @Test("entries that come, go and are renamed are told; what happens inside them isn't", .timeLimit(.minutes(1)))
    func changes() async throws {
        let place = NSTemporaryDirectory() + "watched-\(UUID().uuidString)"
        let files = FileManager.default
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? files.removeItem(atPath: place) }
        let (events, told) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let watch = try #require(await DirectoryWatch(place) { told.yield() })
        var next = events.makeAsyncIterator()
        try files.createDirectory(atPath: "\(place)/a", withIntermediateDirectories: false)
        await next.next()
        try files.moveItem(atPath: "\(place)/a", toPath: "\(place)/b")
        await next.next()
        try files.removeItem(atPath: "\(place)/b")
        await next.next()
        watch.stop()
        await PortsThread.turn()
        try files.createDirectory(atPath: "\(place)/c", withIntermediateDirectories: false)
        await PortsThread.turn()
        told.finish()
        // A rename is two events, so one may still have been on its way; after the stop none came.
        var late = 0
        while await next.next() != nil { late += 1 }
        #expect(late <= 1)
    }

    @Test("what isn't there, or is no directory, can't be watched")
    func nothing() async throws {
        let file = NSTemporaryDirectory() + "file-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let ofFile = await DirectoryWatch(file) {}
        #expect(ofFile == nil)
        let ofNothing = await DirectoryWatch(file + "/none") {}
        #expect(ofNothing == nil)
    }
}
