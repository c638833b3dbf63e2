public import Clinical
internal import GRDB

/// A device that was met.
public struct KnownDevice: Sendable, Equatable, Codable {
    public var identity: DeviceIdentity
    /// Unix time in milliseconds.
    public var lastSeen: Int64
    /// Values that its driver had never seen before, each once.
    public var surprises: [String]

    public init(identity: DeviceIdentity, lastSeen: Int64, surprises: [String]) {
        self.identity = identity
        self.lastSeen = lastSeen
        self.surprises = surprises
    }
}

extension Store {
    /// A device identified itself.
    public func seen(_ device: DeviceIdentity, at time: Int64) async throws(StoreError) {
        try await write { tx in try tx.see(device, at: time) }
    }

    /// Collects a surprise.
    /// - Returns: true the first time, when it is worth a line in the log.
    public func surprise(_ text: String, from device: DeviceIdentity, at time: Int64) async throws(StoreError) -> Bool {
        try await write { tx in
            try tx.see(device, at: time)
            let key: StatementArguments = [device.driver, device.model, device.serial ?? ""]
            let stored = try String.fetchOne(
                tx.db, sql: "SELECT surprises FROM device WHERE driver = ? AND model = ? AND serial = ?",
                arguments: key)
            var surprises = try JSON.decode([String].self, stored ?? "[]")
            // A device that surprises without end must not fill the disk.
            guard !surprises.contains(text), surprises.count < 200 else { return false }
            surprises.append(text)
            try tx.db.execute(
                sql: "UPDATE device SET surprises = ? WHERE driver = ? AND model = ? AND serial = ?",
                arguments: [try JSON.text(surprises)] + key)
            return true
        }
    }

    /// The one seen last comes first.
    public func devices() async throws(StoreError) -> [KnownDevice] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM device ORDER BY last_seen DESC, driver, model, serial").map {
                KnownDevice(
                    identity: try JSON.decode(DeviceIdentity.self, $0["identity"] as String),
                    lastSeen: try $0["last_seen"],
                    surprises: try JSON.decode([String].self, try $0["surprises"] as String))
            }
        }
    }
}

extension Transaction {
    fileprivate func see(_ device: DeviceIdentity, at time: Int64) throws {
        try db.execute(
            sql: """
                INSERT INTO device (driver, model, serial, identity, last_seen) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (driver, model, serial) DO UPDATE
                SET identity = excluded.identity, last_seen = excluded.last_seen
                """,
            arguments: [device.driver, device.model, device.serial ?? "", try JSON.text(device), time])
    }
}
