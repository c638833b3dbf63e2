import Foundation
import GRDB
import HTTPTypes

/// A `transaction` Bundle: read whole, checked whole, stored whole or not at all. A `batch` runs the same entries one by one.
struct Transaction {
    private struct Entry {
        var fullUrl: String?
        var resource: JSON
        var method: String
        var type: String
        /// The id in the URL of a PUT.
        var id: String?
        var ifMatch: String?
        var ifNoneExist: String?
    }

    private let entries: [Entry]
    private let isBatch: Bool

    init(_ bundle: JSON) throws {
        guard bundle["resourceType"] == "Bundle" else { throw Refusal.invalid("the body is not a Bundle") }
        switch bundle["type"] {
        case "transaction": isBatch = false
        case "batch": isBatch = true
        default: throw Refusal.invalid("Bundle.type is neither transaction nor batch")
        }
        guard let listed = bundle["entry"]?.array ?? (bundle["entry"] == nil ? [] : nil) else {
            throw Refusal.invalid("Bundle.entry is not an array")
        }
        entries = try listed.enumerated().map { index, entry in
            do { return try Self.read(entry) } catch let refusal as Refusal { throw refusal.with("entry \(index): ") }
        }
        try refuseDoubles()
    }

    /// Runs all entries.
    /// - Returns: a transaction-response or batch-response, in the order of the entries.
    func run(in queue: Database) throws -> JSON {
        if isBatch { return try runBatch(in: queue) }
        let store = FHIRStore(db: queue)
        let places = try resolvePlaces(store)
        var answers: [JSON] = []
        var written: [(index: Int, stored: Stored)] = []
        for (index, entry) in entries.enumerated() {
            try attributing(to: index) {
                let resource = try rewrite(entry.resource, places: places, store: store)
                let (stored, effect) = try run(entry, resource, at: places[index], store: store)
                if effect != .unchanged { written.append((index, stored)) }
                answers.append(answer(stored, effect))
            }
        }
        let validation = Validation(store: store)
        for (index, stored) in written { try attributing(to: index) { try validation.check(stored) } }
        return ["resourceType": "Bundle", "type": "transaction-response", "entry": .array(answers)]
    }

    // MARK: Reading

    private static func read(_ entry: JSON) throws -> Entry {
        guard let request = entry["request"], let method = request["method"]?.string, let url = request["url"]?.string
        else { throw Refusal.invalid("request.method or request.url is missing") }
        guard method == "PUT" || method == "POST" else {
            throw Refusal(400, "not-supported", "only PUT and POST entries are supported")
        }
        guard let resource = entry["resource"] else { throw Refusal.invalid("resource is missing") }
        guard !url.contains("?") else { throw Refusal(400, "not-supported", "conditional updates are not supported") }
        let parts = url.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let type = parts.first ?? ""
        try Schema.requireType(type)
        var id: String?
        if method == "PUT" {
            guard parts.count == 2, Schema.isID(parts[1]) else { throw Refusal.invalid("request.url is not Type/id") }
            id = parts[1]
        } else if parts.count != 1 {
            throw Refusal.invalid("request.url of a POST is not a type")
        }
        try Validation.shape(resource, type: type, id: id)
        return Entry(
            fullUrl: entry["fullUrl"]?.string, resource: resource, method: method, type: type, id: id,
            ifMatch: request["ifMatch"]?.string, ifNoneExist: request["ifNoneExist"]?.string)
    }

    /// The specification has a transaction fail when one identity is in it twice; which of the two should win is not
    /// decidable here.
    private func refuseDoubles() throws {
        var seen = Set<String>()
        for (index, entry) in entries.enumerated() {
            var keys: [String] = []
            if let url = entry.fullUrl { keys.append("url \(url)") }
            if let id = entry.id { keys.append("resource \(entry.type)/\(id)") }
            if let condition = entry.ifNoneExist { keys.append("condition \(entry.type)?\(condition)") }
            for key in keys where !seen.insert(key).inserted {
                throw Refusal.invalid("entry \(index): the same identity is in the Bundle twice")
            }
        }
        // Two conditions may be worded differently and still mean one identifier.
        for (index, entry) in entries.enumerated() {
            guard let condition = entry.ifNoneExist else { continue }
            for pair in try Query(condition).pairs where pair.name == "identifier" {
                let same = entries.filter { $0.type == entry.type && Self.carries(pair.value, $0.resource) }
                guard same.count < 2 else {
                    throw Refusal.invalid("entry \(index): the same identity is in the Bundle twice")
                }
            }
        }
    }

    private static func carries(_ token: String, _ resource: JSON) -> Bool {
        resource.all(at: "identifier").contains {
            guard let value = $0["value"]?.string else { return false }
            return token == value || token == "\($0["system"]?.string ?? "")|\(value)"
        }
    }

    // MARK: Running

    /// Where each entry will be, before anything is written: references between entries need it.
    private func resolvePlaces(_ store: FHIRStore) throws -> [String] {
        try entries.enumerated().map { index, entry in
            if let id = entry.id { return "\(entry.type)/\(id)" }
            if let condition = entry.ifNoneExist {
                let known = try attributing(to: index) { try store.match(entry.type, condition) }
                if let known { return known.reference }
            }
            return "\(entry.type)/\(UUID().uuidString.lowercased())"
        }
    }

    private func rewrite(_ value: JSON, places: [String], store: FHIRStore) throws -> JSON {
        switch value {
        case .array(let values): return .array(try values.map { try rewrite($0, places: places, store: store) })
        case .object(var members):
            for (name, member) in members {
                guard name == "reference", let reference = member.string else {
                    members[name] = try rewrite(member, places: places, store: store)
                    continue
                }
                if let index = entries.firstIndex(where: { $0.fullUrl == reference }) {
                    members[name] = .string(places[index])
                } else if let mark = reference.firstIndex(of: "?") {
                    let type = String(reference[..<mark])
                    guard Schema.parameters[type] != nil,
                        let known = try store.match(type, String(reference[reference.index(after: mark)...]))
                    else { throw Refusal.stale("a conditional reference matches nothing") }
                    members[name] = .string(known.reference)
                }
            }
            return .object(members)
        default: return value
        }
    }

    private func run(
        _ entry: Entry, _ resource: JSON, at place: String, store: FHIRStore
    ) throws -> (Stored, FHIRStore.Effect) {
        guard let (type, id) = Schema.local(place) else { throw Refusal(500, "exception", "a place is no reference") }
        if entry.method == "POST", entry.ifNoneExist != nil, let known = try store.read(type, id) {
            return (known, .unchanged)
        }
        return try store.put(resource, type: type, id: id, ifMatch: entry.ifMatch)
    }

    private func answer(_ stored: Stored, _ effect: FHIRStore.Effect) -> JSON {
        [
            "response": [
                "status": effect == .created ? "201 Created" : "200 OK",
                "location": .string("\(stored.reference)/_history/\(stored.version)"), "etag": .string(stored.etag),
                "lastModified": .string(Instant.text(stored.updated)),
            ]
        ]
    }

    private func runBatch(in db: Database) throws -> JSON {
        var answers: [JSON] = []
        let store = FHIRStore(db: db)
        for entry in entries {
            do {
                try db.inSavepoint {
                    let place = entry.id.map { "\(entry.type)/\($0)" }
                    let known = try entry.ifNoneExist.flatMap { try store.match(entry.type, $0) }
                    let (stored, effect) = try run(
                        entry, entry.resource,
                        at: place ?? known?.reference ?? "\(entry.type)/\(UUID().uuidString.lowercased())", store: store
                    )
                    if effect != .unchanged { try Validation(store: store).check(stored) }
                    answers.append(answer(stored, effect))
                    return .commit
                }
            } catch let refusal as Refusal {
                answers.append([
                    "response": [
                        "status": .string("\(refusal.status.code) \(refusal.status.reasonPhrase)"),
                        "outcome": refusal.outcome,
                    ]
                ])
            }
        }
        return ["resourceType": "Bundle", "type": "batch-response", "entry": .array(answers)]
    }

    private func attributing<T>(to index: Int, _ work: () throws -> T) throws -> T {
        do { return try work() } catch let refusal as Refusal { throw refusal.with("entry \(index): ") }
    }
}
