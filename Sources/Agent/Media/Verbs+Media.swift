/// Cards and sticks.
extension Verbs {
    public func media() async -> [MediumView] { await mediaHub.views() }

    public func medium(_ id: String) async throws -> MediumView { try await mediaHub.view(id) }

    /// Looks through a folder as if it were a card; copies nothing.
    public func lookThrough(_ request: MediumRequest) async throws -> MediumView {
        try await mediaHub.look(at: request.path)
    }

    /// Begins or continues a copy; returns at once. What comes in belongs to the visit that is open now.
    public func copyMedium(_ id: String, by person: String?) async throws -> MediumView {
        try await mediaHub.start(id, by: who(person))
    }

    public func stopMedium(_ id: String) async throws -> MediumView { try await mediaHub.stop(id) }

    /// Copies what is at a path and waits for the end.
    public func importTree(_ request: ImportRequest) async throws -> ImportView {
        try await mediaHub.importAll(request.path, by: who(request.by))
    }

    /// All media whenever anything of them changes, at most four times a second; until the reader goes.
    public func mediaChanges() -> AsyncStream<[MediumView]> {
        let (stream, inlet) = AsyncStream.makeStream(of: [MediumView].self, bufferingPolicy: .bufferingNewest(1))
        let task = Task { [mediaHub] in
            var last: [MediumView]?
            while !Task.isCancelled {
                let now = await mediaHub.views()
                if now != last { inlet.yield(now) }
                last = now
                do { try await Task.sleep(for: .milliseconds(250)) } catch { break }
            }
            inlet.finish()
        }
        inlet.onTermination = { _ in task.cancel() }
        return stream
    }
}
