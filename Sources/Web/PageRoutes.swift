import Agent
import HTTPTypes
import Hummingbird
import NIOCore

/// A request at the page's door; `session` is set once both of its proofs were seen.
struct PageContext: DoorContext {
    var coreContext: CoreRequestContextStorage
    var session: PageSessions.Session?
    var person: String? { session?.person }
    var demandsIdentityCheck: Bool { true }

    init(source: ApplicationRequestContextSource) { coreContext = .init(source: source) }
}

private let cookieName = "ess-page"

/// Everything at the page's port: the entrance, the page's own files, and the API behind the session.
func addPage(_ verbs: Verbs, _ sessions: PageSessions, to router: Router<PageContext>) {
    router.add(middleware: ProblemMiddleware())
    // The page's files hold no data; whoever has no session gets no further than the entrance.
    router.get("entrer") { _, _ in PageFiles.response("entrer.html") }
    router.get("assets/:name") { _, context in PageFiles.response(try context.parameters.require("name")) }
    router.get("favicon.ico") { _, _ in PageFiles.response("icon.svg") }
    router.get("/") { request, _ in
        // A bookmark, a session that is over: the entrance says what to do.
        let known = request.cookies[cookieName].flatMap { sessions.session(cookie: $0.value) } != nil
        return known ? PageFiles.response("index.html") : PageFiles.response("entrer.html")
    }
    router.post("entrer") { request, _ in
        // JSON only: no form of another page can send this.
        guard request.headers[.contentType] == "application/json" else { throw Problem.pageRefused }
        let body = try await request.decoded(EnterRequest.self)
        guard let (cookie, session) = sessions.enter(body.token) else { throw Problem.notSignedIn }
        var response = try Response.json(EnterAnswer(page: session.token), status: .ok)
        // A session cookie: gone with the browser. `Secure` would hide it from http://127.0.0.1 in some browsers.
        response.headers[.setCookie] = "\(cookieName)=\(cookie); Path=/; HttpOnly; SameSite=Strict"
        return response
    }
    let api = router.group("api").add(middleware: SessionMiddleware(sessions: sessions))
    addAPI(verbs, to: api)
    api.post("page/leave") { request, _ in
        if let cookie = request.cookies[cookieName]?.value { sessions.leave(cookie: cookie) }
        var response = try Response.json(EnterAnswer(page: ""), status: .ok)
        response.headers[.setCookie] = "\(cookieName)=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        return response
    }
}

private struct EnterRequest: Decodable {
    var token: String
}

private struct EnterAnswer: Encodable {
    /// What the page sends as `X-ESS-Page`.
    var page: String
}

/// Cookie and header, for reading as for changing.
private struct SessionMiddleware: RouterMiddleware {
    let sessions: PageSessions

    func handle(
        _ request: Request, context: PageContext,
        next: @concurrent (Request, PageContext) async throws -> Response
    ) async throws -> Response {
        guard let cookie = request.cookies[cookieName]?.value, let session = sessions.session(cookie: cookie) else {
            throw Problem.notSignedIn
        }
        guard let token = request.headers[.page], isSame(token, session.token) else { throw Problem.pageRefused }
        var context = context
        context.session = session
        return try await next(request, context)
    }

    /// As long for a wrong text as for the right one.
    private func isSame(_ text: String, _ secret: String) -> Bool {
        guard text.utf8.count == secret.utf8.count else { return false }
        return zip(text.utf8, secret.utf8).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
