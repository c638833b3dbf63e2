import Agent
import Hummingbird

/// What came back from the centre, and what is on its way.
func addSyncAPI<Context: DoorContext>(_ verbs: Verbs, to api: RouterGroup<Context>) {
    api.get("opinions") { request, _ in
        JSON(try await verbs.opinions(visit: request.uri.queryParameters["visit"].map(String.init)))
    }
    api.post("opinions/:id/seen") { request, context in
        let body = try await request.decoded(StartRequest.self)
        return JSON(try await verbs.seeOpinion(try context.parameters.require("id"), by: context.person ?? body.by))
    }
    api.post("opinions/:id/reply") { request, context in
        var body = try await request.decoded(ReplyRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.reply(try context.parameters.require("id"), body))
    }
    api.get("visits/:id/care-plan") { _, context in
        JSON(try await verbs.carePlan(visit: try context.parameters.require("id")))
    }
    api.get("sync/items") { _, _ in JSON(try await verbs.syncItems()) }
}
