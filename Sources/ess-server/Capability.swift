import Crypto
import HTTPTypes
import Hummingbird

/// What this server says that it can do. It says no more than that.
enum Capability {
    /// Bytes as they are, no search: Binaries.swift.
    private static let binary: JSON = [
        "type": "Binary", "interaction": [["code": "read"], ["code": "update"]], "updateCreate": true,
        "conditionalCreate": false,
    ]

    static func statement(base: String) -> JSON {
        let resources: [JSON] = Schema.types.map { type in
            var parameters: [JSON] = [
                ["name": "_id", "type": "token"], ["name": "_lastUpdated", "type": "date"],
            ]
            for (name, parameter) in (Schema.parameters[type] ?? [:]).sorted(by: { $0.key < $1.key }) {
                parameters.append([
                    "name": .string(name), "type": parameter.kind == .reference ? "reference" : "token",
                ])
            }
            var resource: JSON = [
                "type": .string(type),
                "interaction": [
                    ["code": "read"], ["code": "vread"], ["code": "update"], ["code": "create"],
                    ["code": "search-type"],
                ],
                "versioning": "versioned-update", "readHistory": true, "updateCreate": true,
                "conditionalCreate": true, "conditionalRead": "not-match", "conditionalUpdate": false,
                "conditionalDelete": "not-supported", "referencePolicy": ["literal", "local"],
                "searchParam": .array(parameters),
            ]
            if let includes = Schema.includes[type] {
                resource["searchInclude"] = .array(includes.keys.sorted().map(JSON.string))
            }
            return resource
        }
        return [
            "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
            "fhirVersion": "4.0.1", "format": ["application/fhir+json"],
            "software": ["name": "ess-server", "version": "1.0.0"],
            "implementation": ["description": "ESS reference server", "url": .string(base)],
            "rest": [
                [
                    "mode": "server", "interaction": [["code": "transaction"], ["code": "batch"]],
                    "resource": .array(resources + [binary]),
                ]
            ],
        ]
    }
}

/// `GET /.well-known/ess-agent` (D0) and `GET /ess/v1/ping` (H1).
struct Discovery {
    let storeEpoch: String
    /// Bytes of the longest recording.
    let maxSize: Int
    /// Whether `/token` is there.
    let hasTokens: Bool

    func add(to router: Router<Context>) {
        router.get("/.well-known/ess-agent") { request, _ in
            var body = document(origin: request.origin)
            // The time is not part of the tag: it would never match.
            let etag = "\"\(Disk.hexadecimal(SHA256.hash(data: Array(body.text.utf8)).prefix(16)))\""
            let headers = ["ETag": etag, "Cache-Control": "no-cache"]
            if request.headers[.ifNoneMatch] == etag { return Answer(status: 304, headers: headers).response() }
            body["serverTime"] = .string(Instant.text(Instant.now()))
            return Answer(status: 200, headers: headers, body: body).response(type: "application/json")
        }
        router.get("/ess/v1/ping") { _, _ in Response(status: .noContent) }
    }

    private func document(origin: String) -> JSON {
        var document: JSON = [
            "contracts": ["1.0"], "minAgent": "0.1.0", "fhirBase": .string("\(origin)/fhir"),
            "bytes": [
                [
                    "kind": "tus", "url": .string("\(origin)/files"), "maxSize": JSON(maxSize),
                    "chunkMax": JSON(Tus.chunkMax),
                ]
            ],
            "receipts": .string("\(origin)/ess/v1/recordings"), "storeEpoch": .string(storeEpoch),
            "policy": ["meteredMaxBytes": 5_242_880, "retentionDays": 14],
        ]
        if hasTokens { document["token"] = .string("\(origin)/token") }
        return document
    }
}
