import GRDB

/// What a seed puts into the store: the resources of a transaction or collection Bundle, under their own ids.
struct Worklist {
    let bundle: JSON
    /// False: what is already there is left alone, since the field may have written to it meanwhile.
    let replace: Bool

    /// - Returns: what was done, one line.
    func load(into ledger: Ledger) throws -> String {
        guard bundle["resourceType"] == "Bundle", bundle["type"] == "transaction" || bundle["type"] == "collection"
        else {
            throw Trouble("a worklist is a Bundle of type transaction or collection")
        }
        let resources = bundle.all(at: "entry").map { $0["resource"] ?? .null }
        do {
            let counts = try ledger.queue.write { db in try put(resources, FHIRStore(db: db)) }
            return "worklist: \(counts.created) made, \(counts.updated) replaced, \(counts.kept) kept"
        } catch let refusal as Refusal {
            throw Trouble("the worklist was not loaded: \(refusal.reason)")
        }
    }

    private func put(_ resources: [JSON], _ store: FHIRStore) throws -> (created: Int, updated: Int, kept: Int) {
        var counts = (created: 0, updated: 0, kept: 0)
        var written: [Stored] = []
        for (index, resource) in resources.enumerated() {
            guard let type = resource["resourceType"]?.string, let id = resource["id"]?.string else {
                throw Refusal.invalid("entry \(index) has no resource with a resourceType and an id")
            }
            do {
                try Schema.requireType(type)
                try Validation.shape(resource, type: type, id: id)
                if !replace, try store.read(type, id) != nil {
                    counts.kept += 1
                    continue
                }
                let (stored, effect) = try store.put(resource, type: type, id: id, ifMatch: nil)
                switch effect {
                case .created: counts.created += 1
                case .updated: counts.updated += 1
                case .unchanged: counts.kept += 1
                }
                written.append(stored)
            } catch let refusal as Refusal { throw refusal.with("entry \(index): ") }
        }
        for stored in written {
            do { try Validation(store: store).check(stored) } catch let refusal as Refusal {
                throw refusal.with("\(stored.reference): ")
            }
        }
        return counts
    }
}
