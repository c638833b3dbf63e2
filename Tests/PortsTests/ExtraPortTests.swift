import Ports
import Testing
import Wire

@Suite(.timeLimit(.minutes(1))) struct ExtraPortTests {
    private func next(_ watcher: Watcher) async -> DeviceEvent? {
        var iterator = watcher.events.makeAsyncIterator()
        return await iterator.next()
    }

    private func arrived(_ path: String) -> DeviceEvent {
        .arrived(PortCandidate(syspath: path, devnode: path, subsystem: "tty", profile: "contec-oximeter"))
    }

    @Test func whatIsThereIsAnnouncedAtTheStart() async throws {
        let pty = try Pty()
        let watcher = Watcher(matches: [], extras: [ExtraPort(path: pty.path, profile: "contec-oximeter")])
        #expect(await watcher.start() == .watching)
        #expect(await next(watcher) == arrived(pty.path))
        pty.hangUp()
        #expect(await next(watcher) == .departed(pty.path))
        await watcher.stop()
        // Ends; another test's pty may have taken the number meanwhile.
        while await next(watcher) != nil {}
    }

    @Test func aLinkArrivesAndDeparts() async throws {
        let pty = try Pty()
        let scratch = try Scratch()
        let path = "\(scratch.path)/ttySIM"
        let watcher = Watcher(matches: [], extras: [ExtraPort(path: path, profile: "contec-oximeter")])
        await watcher.start()
        for _ in 0..<3 {
            try scratch.link("ttySIM", to: pty.path)
            #expect(await next(watcher) == arrived(path))
            try scratch.remove("ttySIM")
            #expect(await next(watcher) == .departed(path))
        }
        await watcher.stop()
        pty.hangUp()
    }

    @Test func aLinkDepartsWithItsTarget() async throws {
        let pty = try Pty()
        let scratch = try Scratch()
        try scratch.link("by-id", to: pty.path)
        try scratch.link("ttySIM", to: "by-id")
        let path = "\(scratch.path)/ttySIM"
        let watcher = Watcher(matches: [], extras: [ExtraPort(path: path, profile: "contec-oximeter")])
        await watcher.start()
        #expect(await next(watcher) == arrived(path))
        pty.hangUp()
        #expect(await next(watcher) == .departed(path))
        await watcher.stop()
    }

    @Test func aReplacedLinkIsAnotherDevice() async throws {
        let first = try Pty()
        let second = try Pty()
        let scratch = try Scratch()
        let path = "\(scratch.path)/ttySIM"
        try scratch.link("ttySIM", to: first.path)
        let watcher = Watcher(matches: [], extras: [ExtraPort(path: path, profile: "contec-oximeter")])
        await watcher.start()
        #expect(await next(watcher) == arrived(path))
        try scratch.remove("ttySIM")
        try scratch.link("ttySIM", to: second.path)
        #expect(await next(watcher) == .departed(path))
        #expect(await next(watcher) == arrived(path))
        await watcher.stop()
        first.hangUp()
        second.hangUp()
    }

    @Test func aFolderThatComesLaterIsFound() async throws {
        let pty = try Pty()
        let scratch = try Scratch()
        let path = "\(scratch.path)/later/ttySIM"
        let watcher = Watcher(matches: [], extras: [ExtraPort(path: path, profile: "contec-oximeter")])
        await watcher.start()
        try scratch.makeDirectory("later")
        try scratch.link("later/ttySIM", to: pty.path)
        #expect(await next(watcher) == arrived(path))
        try scratch.remove("later")
        #expect(await next(watcher) == .departed(path))
        await watcher.stop()
        pty.hangUp()
    }

    @Test func aFileIsNoPort() async throws {
        let pty = try Pty()
        let scratch = try Scratch()
        try scratch.write([1], to: "file")
        let watcher = Watcher(
            matches: [],
            extras: [
                ExtraPort(path: "\(scratch.path)/file", profile: "contec-oximeter"),
                ExtraPort(path: "\(scratch.path)/real", profile: "contec-oximeter"),
            ])
        await watcher.start()
        try scratch.link("real", to: pty.path)
        #expect(await next(watcher) == arrived("\(scratch.path)/real"))
        await watcher.stop()
        pty.hangUp()
    }

    @Test func stoppingTwiceAndForgettingAreFine() async throws {
        let watcher = Watcher(matches: [PortMatch(subsystem: "tty", vendorID: "ffff", productID: "ffff")])
        let state = await watcher.start()
        #expect(state != .idle)
        await watcher.stop()
        await watcher.stop()
        #expect(watcher.state == .idle)
        #expect(await next(watcher) == nil)
        _ = Watcher(matches: [])
    }
}
