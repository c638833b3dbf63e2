import HTTPTypes
import Hummingbird

/// A request that is not done, and why. The reason is for the other side's engineers; it repeats no value of a body.
struct Refusal: Error {
    var status: HTTPResponse.Status
    /// A code of FHIR's issue-type value set.
    var code: String
    var reason: String
    var headers: HTTPFields = [:]

    init(_ status: Int, _ code: String, _ reason: String, headers: HTTPFields = [:]) {
        self.status = HTTPResponse.Status(code: status)
        self.code = code
        self.reason = reason
        self.headers = headers
    }

    static func invalid(_ reason: String) -> Refusal { Refusal(400, "invalid", reason) }
    static func unprocessable(_ reason: String) -> Refusal { Refusal(422, "processing", reason) }
    static func conflict(_ reason: String) -> Refusal { Refusal(409, "conflict", reason) }
    static func stale(_ reason: String) -> Refusal { Refusal(412, "conflict", reason) }
    static func notFound(_ reason: String) -> Refusal { Refusal(404, "not-found", reason) }

    var outcome: JSON {
        [
            "resourceType": "OperationOutcome",
            "issue": [["severity": "error", "code": .string(code), "diagnostics": .string(reason)]],
        ]
    }

    /// An OperationOutcome for the FHIR lane, one line of text elsewhere.
    func response(fhir: Bool) -> Response {
        var headers = headers
        if fhir {
            headers[.contentType] = Answer.fhirType
            return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: outcome.text)))
        }
        headers[.contentType] = "text/plain; charset=utf-8"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: reason + "\n")))
    }

    func with(_ prefix: String) -> Refusal {
        var refusal = self
        refusal.reason = prefix + refusal.reason
        return refusal
    }
}

/// What is sent back, in a form that can be remembered.
struct Answer: Sendable {
    static let fhirType = "application/fhir+json; fhirVersion=4.0; charset=utf-8"

    var status: Int
    var headers: [String: String] = [:]
    var body: JSON?

    func response(type: String = Answer.fhirType) -> Response {
        var fields = HTTPFields()
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { fields[name] = value }
        }
        guard let body else { return Response(status: .init(code: status), headers: fields) }
        fields[.contentType] = type
        return Response(
            status: .init(code: status), headers: fields, body: .init(byteBuffer: ByteBuffer(string: body.text)))
    }
}
