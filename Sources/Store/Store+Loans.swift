public import Clinical
internal import FoundationEssentials
internal import GRDB

extension Store {
    /// Writes down that a device is lent to a visit's patient. Loans may overlap (a return that was forgotten): then what
    /// the device recorded meanwhile stays unattributed.
    /// - Parameters:
    ///   - driver: `DeviceIdentity.driver`
    ///   - serial: nil for a device that doesn't say it; its nights are then never bound by themselves.
    ///   - from: on the clock on the wall.
    ///   - time: when it is written down, Unix time in milliseconds.
    /// - Returns: the loan, and other loans of the same device at the same time.
    /// - Throws: `.notFound`; `.refused` for a visit that was cancelled or whose identity is gone, and when the loan would
    ///   end before it begins.
    @discardableResult
    public func lend(
        driver: String, serial: String?, to visit: String, from: LocalTime, until: LocalTime? = nil,
        by actor: String, at time: Int64
    ) async throws(StoreError) -> (loan: Loan, overlapping: [Loan]) {
        try await write { tx in
            guard let found = try tx.visit(visit) else { throw StoreError.notFound("visit \(visit)") }
            guard found.status != .cancelled else { throw StoreError.refused("visit \(visit) was cancelled") }
            try tx.requireIdentity(of: visit)
            if let until, until < from { throw StoreError.refused("the loan would end before it begins") }
            let others = try tx.loans(driver: driver, serial: serial)
            let id = (try Int64.fetchOne(tx.db, sql: "SELECT MAX(id) FROM loan") ?? 0) + 1
            let loan = Loan(
                id: id, driver: driver, serial: serial, visit: visit, patient: found.patient.id, from: from, to: until,
                by: actor, at: time)
            try tx.db.execute(
                sql: "INSERT INTO loan (id, driver, serial, visit, sealed) VALUES (?, ?, ?, ?, ?)",
                arguments: [id, driver, serial, visit, try tx.sealed(loan)])
            try tx.audit(by: actor, AuditAction.lend, "loan \(id)", "\(driver) \(serial ?? "-"), visit \(visit)")
            return (loan, others.filter { $0.overlaps(loan) })
        }
    }

    /// Writes down that a lent device is back.
    /// - Parameter end: until when it was the patient's, on the clock on the wall.
    /// - Throws: `.notFound`; `.refused` when it is back already, or would be before it was given.
    @discardableResult
    public func takeBack(
        loan id: Int64, until end: LocalTime, by actor: String, at time: Int64
    ) async throws(StoreError) -> Loan {
        try await write { tx in
            guard let row = try Row.fetchOne(tx.db, sql: "SELECT * FROM loan WHERE id = ?", arguments: [id]) else {
                throw StoreError.notFound("loan \(id)")
            }
            var loan = try tx.loan(row)
            guard loan.returnedAt == nil else { throw StoreError.refused("the device of loan \(id) is back already") }
            guard loan.from <= end else { throw StoreError.refused("the loan would end before it begins") }
            // What a person saw counts more than the end that was agreed beforehand.
            loan.to = end
            loan.returnedBy = actor
            loan.returnedAt = time
            try tx.db.execute(
                sql: "UPDATE loan SET sealed = ? WHERE id = ?", arguments: [try tx.sealed(loan), id])
            try tx.audit(by: actor, AuditAction.takeBack, "loan \(id)", "\(loan.driver) \(loan.serial ?? "-")")
            return loan
        }
    }

    /// All loans, the newest first.
    public func loans() async throws(StoreError) -> [Loan] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM loan ORDER BY id DESC").map { try tx.loan($0) }
        }
    }
}

extension Transaction {
    /// The loans that may be this device's: of one that doesn't tell itself apart all of its kind.
    func loans(of device: DeviceIdentity) throws -> [Loan] {
        guard device.serial == nil else { return try loans(driver: device.driver, serial: device.serial) }
        return try Row.fetchAll(db, sql: "SELECT * FROM loan WHERE driver = ? ORDER BY id", arguments: [device.driver])
            .map(loan)
    }

    func loans(driver: String, serial: String?) throws -> [Loan] {
        try Row.fetchAll(
            db, sql: "SELECT * FROM loan WHERE driver = ? AND serial IS ? ORDER BY id", arguments: [driver, serial]
        ).map(loan)
    }

    func sealed(_ loan: Loan) throws -> Data {
        try vault.identity.seal(json: loan, at: "loan|\(loan.id)")
    }

    func loan(_ row: Row) throws -> Loan {
        let id: Int64 = try row["id"]
        let loan = try vault.identity.open(json: Loan.self, row["sealed"], at: "loan|\(id)")
        guard
            try loan.id == id && loan.driver == row["driver"] && loan.serial == row["serial"]
                && loan.visit == row["visit"]
        else { throw StoreError.corrupt("loan \(id)") }
        return loan
    }
}
