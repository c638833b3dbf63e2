import Foundation
import GRDB

/// One version of one resource.
struct Stored: Sendable {
    var type: String
    var id: String
    var version: Int
    /// Milliseconds since 1970, the server's clock; never goes back within a store.
    var updated: Int
    /// With `meta.versionId` and `meta.lastUpdated`.
    var body: JSON

    var etag: String { "W/\"\(version)\"" }
    var reference: String { "\(type)/\(id)" }

    init(type: String, id: String, version: Int, updated: Int, body: JSON) {
        self.type = type
        self.id = id
        self.version = version
        self.updated = updated
        self.body = body
    }

    init(_ row: Row) throws {
        let text: String = row["body"]
        self.init(
            type: row["type"], id: row["id"], version: row["version"], updated: row["updated"],
            body: try JSON(parsing: Array(text.utf8)))
    }
}

/// Resources inside one database transaction. Nothing here commits: the caller decides.
struct FHIRStore {
    enum Effect { case created, updated, unchanged }

    let db: Database

    func read(_ type: String, _ id: String) throws -> Stored? {
        try Row.fetchOne(db, sql: "SELECT * FROM resource WHERE type = ? AND id = ?", arguments: [type, id])
            .map(Stored.init)
    }

    func read(_ type: String, _ id: String, version: Int) throws -> Stored? {
        try Row.fetchOne(
            db, sql: "SELECT * FROM history WHERE type = ? AND id = ? AND version = ?", arguments: [type, id, version]
        ).map(Stored.init)
    }

    /// Creates or updates under the id that the caller gives.
    ///
    /// The same content again makes no new version: a retry changes nothing.
    /// - Parameter ifMatch: the version that the caller has seen, as `W/"3"`.
    func put(_ resource: JSON, type: String, id: String, ifMatch: String?) throws -> (Stored, Effect) {
        let known = try read(type, id)
        if let ifMatch {
            guard let known else { throw Refusal.stale("If-Match on a resource that is not here") }
            guard Self.version(of: ifMatch) == known.version else {
                throw Refusal.stale("the resource is now at version \(known.version)")
            }
        }
        var body = resource
        body["id"] = .string(id)
        if let known, Self.content(known.body) == Self.content(body) { return (known, .unchanged) }
        let newest = try Int.fetchOne(db, sql: "SELECT max(updated) FROM resource") ?? 0
        let stored = stamped(
            body, type: type, id: id, version: (known?.version ?? 0) + 1, updated: max(Instant.now(), newest))
        try write(stored)
        return (stored, known == nil ? .created : .updated)
    }

    /// Creates under an id of the server's choice, unless one of these already is there.
    /// - Parameter ifNoneExist: the query after the `?`.
    func create(_ resource: JSON, type: String, ifNoneExist: String?) throws -> (Stored, Effect) {
        if let ifNoneExist, let known = try match(type, ifNoneExist) { return (known, .unchanged) }
        return try put(resource, type: type, id: UUID().uuidString.lowercased(), ifMatch: nil)
    }

    /// The only resource that a conditional query finds, or nil.
    func match(_ type: String, _ query: String) throws -> Stored? {
        let search = try Search(type: type, query: query)
        guard search.isConditional else {
            throw Refusal.invalid("a conditional request needs a search parameter, and no other")
        }
        let found = try search.first(2, in: db)
        guard found.count < 2 else { throw Refusal.stale("the condition matches more than one resource") }
        return found.first
    }

    static func version(of etag: String) -> Int? {
        var text = etag[...]
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        guard text.count >= 3, text.first == "\"", text.last == "\"" else { return nil }
        return Int(text.dropFirst().dropLast())
    }

    private static func content(_ body: JSON) -> JSON {
        var body = body
        guard var meta = body["meta"] else { return body }
        meta["versionId"] = nil
        meta["lastUpdated"] = nil
        body["meta"] = meta.object?.isEmpty == true ? nil : meta
        return body
    }

    private func stamped(_ body: JSON, type: String, id: String, version: Int, updated: Int) -> Stored {
        var body = body
        var meta = body["meta"] ?? .object([:])
        if meta.object == nil { meta = .object([:]) }
        meta["versionId"] = .string(String(version))
        meta["lastUpdated"] = .string(Instant.text(updated))
        body["meta"] = meta
        return Stored(type: type, id: id, version: version, updated: updated, body: body)
    }

    private func write(_ stored: Stored) throws {
        let body = stored.body.text
        let arguments: StatementArguments = [stored.type, stored.id, stored.version, stored.updated, body]
        try db.execute(
            sql: "INSERT OR REPLACE INTO resource (type, id, version, updated, body) VALUES (?, ?, ?, ?, ?)",
            arguments: arguments)
        try db.execute(
            sql: "INSERT INTO history (type, id, version, updated, body) VALUES (?, ?, ?, ?, ?)", arguments: arguments)
        try db.execute(sql: "DELETE FROM term WHERE type = ? AND id = ?", arguments: [stored.type, stored.id])
        for term in Schema.terms(of: stored.body, type: stored.type) {
            try db.execute(
                sql: "INSERT INTO term (type, id, name, system, value) VALUES (?, ?, ?, ?, ?)",
                arguments: [stored.type, stored.id, term.name, term.system, term.value])
        }
    }
}
