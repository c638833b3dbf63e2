import GRDB

/// A FHIR search of one type. A parameter that is not understood is refused: an answer that silently ignored it would be
/// somebody else's worklist.
struct Search: Sendable {
    let type: String
    private var clauses: [String] = []
    private var arguments: [String] = []
    private var times: [(sql: String, milliseconds: Int)] = []
    private var includes: [String] = []
    private var count = 50
    private var after: (updated: Int, id: String)?
    private var echo: [(name: String, value: String)] = []
    private var hasControls = false

    init(type: String, query: String) throws {
        self.type = type
        guard let known = Schema.parameters[type] else {
            throw Refusal(404, "not-supported", "this server keeps no such resource type")
        }
        for (name, value) in try Query(query).pairs {
            if name != "_page" { echo.append((name, value)) }
            guard !name.hasPrefix("_") || name == "_id" else {
                try control(name, value)
                continue
            }
            let alternatives = value.split(separator: ",").map(String.init)
            guard !alternatives.isEmpty else { throw Refusal.invalid("a search parameter has no value") }
            if name == "_id" {
                clauses.append("r.id IN (\(marks(alternatives.count)))")
                arguments += alternatives
            } else if let parameter = known[name] {
                try add(name, parameter, alternatives)
            } else {
                throw Refusal(400, "not-supported", "unknown search parameter for \(type)")
            }
        }
    }

    /// True when it can decide whether a resource exists.
    var isConditional: Bool { !hasControls && !clauses.isEmpty }

    func first(_ limit: Int, in db: Database) throws -> [Stored] {
        try fetch(limit, after: nil, in: db)
    }

    /// A searchset, with a `next` link while there is more.
    /// - Parameter base: `https://host:port/fhir`
    func bundle(in db: Database, base: String) throws -> JSON {
        var page = try fetch(count + 1, after: after, in: db)
        let more = page.count > count
        if more { page.removeLast() }
        var links: [JSON] = [["relation": "self", "url": .string(link(base, page: nil))]]
        if more, let last = page.last {
            links.append(["relation": "next", "url": .string(link(base, page: "\(last.updated).\(last.id)"))])
        }
        var entries = page.map { entry($0, base: base, mode: "match") }
        var seen = Set(page.map(\.reference))
        let store = FHIRStore(db: db)
        for path in includes {
            for reference in page.flatMap({ $0.body.all(at: path) }).compactMap({ $0["reference"]?.string }) {
                guard let local = Schema.local(reference), let stored = try store.read(local.type, local.id),
                    seen.insert(stored.reference).inserted
                else { continue }
                entries.append(entry(stored, base: base, mode: "include"))
            }
        }
        let total =
            try Int.fetchOne(
                db, sql: "SELECT count(*) FROM resource r WHERE \(condition)", arguments: StatementArguments(bound))
            ?? 0
        return [
            "resourceType": "Bundle", "type": "searchset", "total": JSON(total), "link": .array(links),
            "entry": .array(entries),
        ]
    }

    private func entry(_ stored: Stored, base: String, mode: String) -> JSON {
        [
            "fullUrl": .string("\(base)/\(stored.reference)"), "resource": stored.body,
            "search": ["mode": .string(mode)],
        ]
    }

    private func link(_ base: String, page: String?) -> String {
        let pairs = echo + (page.map { [("_page", $0)] } ?? [])
        let query = pairs.map { "\(Query.encode($0.name))=\(Query.encode($0.value))" }.joined(separator: "&")
        return query.isEmpty ? "\(base)/\(type)" : "\(base)/\(type)?\(query)"
    }

    // MARK: Reading the query

    private mutating func control(_ name: String, _ value: String) throws {
        if name != "_lastUpdated" { hasControls = true }
        switch name {
        case "_lastUpdated":
            let comparisons = ["ge": ">=", "gt": ">", "le": "<=", "lt": "<"]
            guard let sign = comparisons[String(value.prefix(2))],
                let time = Instant.milliseconds(String(value.dropFirst(2)))
            else { throw Refusal.invalid("_lastUpdated needs ge, gt, le or lt and a FHIR instant or date") }
            times.append((sign, time))
        case "_count":
            guard let number = Int(value), number > 0 else { throw Refusal.invalid("_count is not a positive number") }
            count = min(number, 200)
        case "_include":
            guard let path = Schema.includes[type]?[value] else {
                throw Refusal(400, "not-supported", "this _include is not supported")
            }
            if !includes.contains(path) { includes.append(path) }
        case "_sort":
            guard value == "_lastUpdated" else {
                throw Refusal(400, "not-supported", "results are sorted by _lastUpdated only")
            }
        case "_format":
            guard ["json", "application/json", "application/fhir+json", "application/fhir json"].contains(value) else {
                throw Refusal(406, "not-supported", "this server speaks JSON only")
            }
        case "_page":
            // updated.id of the last resource of the page before: a resource that changes meanwhile moves to the end, and
            // none is skipped.
            let parts = value.split(separator: ".", maxSplits: 1)
            guard parts.count == 2, let updated = Int(parts[0]) else {
                throw Refusal.invalid("_page is not one of this server's")
            }
            after = (updated, String(parts[1]))
        default:
            throw Refusal(400, "not-supported", "unknown search control parameter")
        }
    }

    private mutating func add(_ name: String, _ parameter: Schema.Parameter, _ alternatives: [String]) throws {
        var tests: [String] = []
        var bound: [String] = []
        for text in alternatives {
            switch parameter.kind {
            case .code:
                tests.append("t.value = ?")
                bound.append(text)
            case .identifier:
                let sides = text.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                if sides.count == 1 {
                    tests.append("t.value = ?")
                    bound.append(text)
                } else {
                    tests.append(sides[1].isEmpty ? "t.system = ?" : "t.system = ? AND t.value = ?")
                    bound += sides[1].isEmpty ? [sides[0]] : sides
                }
            case .reference:
                if let local = Schema.local(text) {
                    tests.append("t.system = ? AND t.value = ?")
                    bound += [local.type, local.id]
                } else {
                    tests.append("t.value = ?")
                    bound.append(text)
                }
            }
        }
        var extra = ""
        if name == "patient", parameter.kind == .reference { extra = " AND t.system = 'Patient'" }
        clauses.append(
            "EXISTS (SELECT 1 FROM term t WHERE t.type = r.type AND t.id = r.id AND t.name = ?\(extra) AND ("
                + tests.map { "(\($0))" }.joined(separator: " OR ") + "))")
        arguments.append(name)
        arguments += bound
    }

    private func marks(_ count: Int) -> String { Array(repeating: "?", count: count).joined(separator: ", ") }

    // MARK: Asking the database

    private var condition: String {
        (["r.type = ?"] + clauses + times.map { "r.updated \($0.sql) ?" }).joined(separator: " AND ")
    }

    private var bound: [any DatabaseValueConvertible] { [type] + arguments + times.map(\.milliseconds) }

    private func fetch(_ limit: Int, after: (updated: Int, id: String)?, in db: Database) throws -> [Stored] {
        var sql = "SELECT r.* FROM resource r WHERE \(condition)"
        var bound = bound
        if let after {
            sql += " AND (r.updated > ? OR (r.updated = ? AND r.id > ?))"
            bound += [after.updated, after.updated, after.id] as [any DatabaseValueConvertible]
        }
        sql += " ORDER BY r.updated, r.id LIMIT ?"
        bound.append(limit)
        return try Row.fetchAll(db, sql: sql, arguments: StatementArguments(bound)).map(Stored.init)
    }
}
