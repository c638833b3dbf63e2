import Foundation
import GRDB
import HTTPTypes
import Hummingbird
import Logging

/// Around each request: errors become answers, faults happen, and one line is logged: method, route template, status,
/// request id. A path, a query or a body may name a person, and is never logged.
struct Journal: RouterMiddleware {
    let faults: Faults
    let logger: Logger

    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let id = request.headers[.requestID].flatMap { UUID(uuidString: $0) }?.uuidString.lowercased() ?? context.id
        var response: Response
        if let code = faults.status() {
            response = refuse(Refusal(code, "transient", "a fault switch is on", headers: [.retryAfter: "1"]), request)
        } else {
            response = await answer(request, context, next)
        }
        response.headers[.requestID] = id
        var note = Logger.Metadata()
        note["method"] = "\(request.method.rawValue)"
        note["route"] = "\(context.endpointPath ?? "-")"
        note["status"] = "\(response.status.code)"
        note["request"] = "\(id)"
        logger.info("request", metadata: note)
        if faults.losesAnswer(to: request.method.rawValue) { await context.cut() }
        return response
    }

    private func answer(
        _ request: Request, _ context: Context, _ next: @concurrent (Request, Context) async throws -> Response
    ) async -> Response {
        do {
            if let contract = request.headers[.essContract], contract.split(separator: ".").first != "1" {
                throw Refusal(
                    426, "not-supported", "this server speaks contract 1.0", headers: [.upgrade: "ess-contract/1.0"])
            }
            return try await next(request, context)
        } catch let refusal as Refusal {
            return refuse(refusal, request)
        } catch let error as HTTPError {
            return refuse(Refusal(error.status.code, "not-found", "there is nothing at this address"), request)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            return refuse(Refusal(507, "no-store", "no space is left on the server"), request)
        } catch {
            // The type only: a message may quote what it choked on.
            logger.error("request failed", metadata: ["error": "\(Swift.type(of: error))"])
            return refuse(Refusal(500, "exception", "the server failed; it may work later"), request)
        }
    }

    private func refuse(_ refusal: Refusal, _ request: Request) -> Response {
        refusal.response(fhir: request.uri.path.hasPrefix("/fhir"))
    }
}
