public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB

// A pressure monitor's memory grows: read in the next patient's visit, it still holds the last patient's measurements. Each one is
// known again by its name and value, also after its recording was purged; in the clear, a value would be health data.

extension Migrations {
    /// `name` is the HMAC of `Reading.mark` under `Transaction.measurementKey`.
    static let measurements = """
        CREATE TABLE measurement (
            recording TEXT NOT NULL REFERENCES recording (uuid),
            n INTEGER NOT NULL,
            name BLOB NOT NULL,
            PRIMARY KEY (recording, n)
        ) STRICT;
        CREATE TRIGGER measurement_no_update BEFORE UPDATE ON measurement
            BEGIN SELECT RAISE(ABORT, 'measurement rows are not changed'); END;
        CREATE TRIGGER measurement_no_delete BEFORE DELETE ON measurement
            BEGIN SELECT RAISE(ABORT, 'measurement rows are not deleted'); END;
        """

    /// Names what was read out before there were names. A reading that can't be opened is `doctor`'s matter.
    static func nameMeasurements(_ vault: Vault, _ db: Database) throws {
        let environment = Store.Environment(now: { 0 }, freeSpace: { nil }, decoder: "")
        let tx = Transaction(db: db, vault: vault, environment: environment)
        let rows = try Row.fetchAll(
            tx.db,
            sql: """
                SELECT uuid, n, sealed, data_key FROM reading JOIN recording ON uuid = recording
                WHERE purged_at IS NULL ORDER BY uuid, n
                """)
        for row in rows {
            let (uuid, n): (String, Int) = (try row["uuid"], try row["n"])
            guard let key = try? tx.vault.unwrap(row["data_key"], for: uuid),
                let reading = try? key.open(json: Reading.self, row["sealed"], at: "\(uuid)|reading|\(n)")
            else { continue }
            try tx.name(reading, uuid, n: n)
        }
    }
}

extension Store {
    /// What is here already of the devices' memories. An interrupted download is to be fetched again, its single measurements are not.
    public func knownItems() async throws(StoreError) -> KnownItems {
        let key = try await key()
        return try await read { tx in
            let sources = try String.fetchSet(
                tx.db, sql: "SELECT source FROM recording WHERE state = 'complete' AND source IS NOT NULL")
            var measurements: [String: String?] = [:]
            let rows = try Row.fetchCursor(
                tx.db,
                sql: """
                    SELECT name, state, source FROM measurement JOIN recording ON uuid = recording
                    WHERE state <> 'open' AND superseded_by IS NULL
                    """)
            while let row = try rows.next() {
                let name = (try row["name"] as Data).base64EncodedString()
                let isWhole = try row["state"] as String == "complete"
                let source: String? = try row["source"]
                // One that is in a whole recording as well is there for good.
                if isWhole || measurements[name] == nil { measurements[name] = .some(isWhole ? nil : source ?? "") }
            }
            return KnownItems(sources, measurements: measurements) {
                Transaction.name(of: $0, key).base64EncodedString()
            }
        }
    }

    private func key() async throws(StoreError) -> SymmetricKey {
        if let key = try await read({ tx in try tx.measurementKey() }) { return key }
        return try await write { tx in try tx.madeMeasurementKey() }
    }
}

extension Transaction {
    private static let measurementKeyName = "measurement-key"

    /// Outlives a change of the master key, as every setting does. Nil before the first measurement.
    func measurementKey() throws -> SymmetricKey? {
        guard let text = try setting(Self.measurementKeyName) else { return nil }
        guard let bytes = Data(base64Encoded: text), bytes.count == 32 else {
            throw StoreError.corrupt("the key of measurements")
        }
        return SymmetricKey(data: bytes)
    }

    fileprivate func madeMeasurementKey() throws -> SymmetricKey {
        if let key = try measurementKey() { return key }
        let fresh = SymmetricKey(size: .bits256)
        let text = unsafe fresh.withUnsafeBytes { unsafe Data($0).base64EncodedString() }
        try set(text, forKey: Self.measurementKeyName)
        return fresh
    }

    /// - Parameter n: as the reading's.
    func name(_ reading: Reading, _ uuid: String, n: Int) throws {
        guard let mark = reading.mark else { return }
        let key = try madeMeasurementKey()
        try db.execute(
            sql: "INSERT INTO measurement (recording, n, name) VALUES (?, ?, ?)",
            arguments: [uuid, n, Self.name(of: mark, key)])
    }

    fileprivate static func name(of mark: String, _ key: SymmetricKey) -> Data {
        Data(HMAC<SHA256>.authenticationCode(for: Array(mark.utf8), using: key))
    }
}
