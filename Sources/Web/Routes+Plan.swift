import Agent
import Hummingbird

/// What a visit's pathway asks for, what the nurse types, and closing.
func addPlanAPI<Context: DoorContext>(_ verbs: Verbs, to api: RouterGroup<Context>) {
    api.get("recordings/:id/images") { _, context in
        JSON(try await verbs.images(try context.parameters.require("id")))
    }
    api.get("pathways") { _, _ in JSON(verbs.pathways()) }
    api.get("sync/entries") { _, _ in JSON(try await verbs.entryCounts()) }
    api.get("visits/:id/plan") { _, context in JSON(try await verbs.plan(visit: try context.parameters.require("id"))) }
    api.post("visits/:id/entries") { request, context in
        var body = try await request.decoded(EntryRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.enter(visit: try context.parameters.require("id"), body))
    }
    api.post("visits/:id/entries/:entry/withdraw") { request, context in
        let body = try await request.decoded(StartRequest.self)
        return JSON(
            try await verbs.withdraw(
                visit: try context.parameters.require("id"), entry: try context.parameters.require("entry"),
                by: context.person ?? body.by))
    }
    api.post("visits/close") { request, context in
        var body = try await request.decoded(CloseVisitRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.closeVisit(body, demandsReasons: context.demandsIdentityCheck))
    }
}
