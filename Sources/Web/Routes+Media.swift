import Agent
import FoundationEssentials
import Hummingbird
import NIOCore
import ServiceLifecycle

/// Cards and sticks at the local API.
func addMediaAPI<Context: DoorContext>(_ verbs: Verbs, to api: RouterGroup<Context>) {
    api.get("media") { _, _ in JSON(await verbs.media()) }
    api.post("media") { request, _ in JSON(try await verbs.lookThrough(try await request.decoded(MediumRequest.self))) }
    api.get("media/live") { _, _ in Response.media(verbs.mediaChanges()) }
    api.get("media/:id") { _, context in JSON(try await verbs.medium(try context.parameters.require("id"))) }
    api.post("media/:id/import") { request, context in
        let body = try await request.decoded(StartRequest.self)
        return JSON(try await verbs.copyMedium(try context.parameters.require("id"), by: context.person ?? body.by))
    }
    api.post("media/:id/stop") { _, context in
        JSON(try await verbs.stopMedium(try context.parameters.require("id")))
    }
}

extension Response {
    /// All media as server-sent events named `media`, whenever anything changes.
    static func media(_ changes: AsyncStream<[MediumView]>) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: ": ess-agent\n\n"))
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                for await views in changes.cancelOnGracefulShutdown() {
                    let data = String(decoding: try encoder.encode(views), as: UTF8.self)
                    try await writer.write(ByteBuffer(string: "event: media\ndata: \(data)\n\n"))
                }
                try await writer.finish(nil)
            })
    }
}
