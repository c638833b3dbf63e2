internal import FoundationEssentials
internal import GRDB

/// What a person said a port's device is, where no probe may find out. Holds for that socket with that cable.
public struct PortChoice: Sendable, Equatable, Codable {
    /// udev's `ID_PATH` of the socket.
    public var path: String?
    /// The cable's own serial number.
    public var cable: String?
    /// The driver's name.
    public var driver: String
    public var by: String
    /// Unix time in milliseconds.
    public var at: Int64

    public init(path: String?, cable: String?, driver: String, by: String, at: Int64) {
        self.path = path
        self.cable = cable
        self.driver = driver
        self.by = by
        self.at = at
    }

    public func isFor(path: String?, cable: String?) -> Bool { self.path == path && self.cable == cable }
}

extension Store {
    /// A laptop has a few sockets and a nurse a few cables.
    private static let mostChoices = 200

    public func portChoices() async throws(StoreError) -> [PortChoice] {
        try await read { tx in try tx.portChoices() }
    }

    /// The newest choice for a socket and cable holds.
    public func choose(_ choice: PortChoice) async throws(StoreError) {
        try await write { tx in
            var choices = try tx.portChoices().filter { !$0.isFor(path: choice.path, cable: choice.cable) }
            choices.append(choice)
            try tx.save(Array(choices.suffix(Self.mostChoices)))
            try tx.audit(by: choice.by, AuditAction.identifyPort, choice.driver)
        }
    }

    public func forgetChoice(path: String?, cable: String?, by person: String) async throws(StoreError) {
        try await write { tx in
            try tx.save(try tx.portChoices().filter { !$0.isFor(path: path, cable: cable) })
            try tx.audit(by: person, AuditAction.identifyPort, "forget")
        }
    }
}

extension Transaction {
    fileprivate func portChoices() throws -> [PortChoice] {
        guard let stored = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'port-choices'") else {
            return []
        }
        return try JSON.decode([PortChoice].self, String(decoding: stored, as: UTF8.self))
    }

    fileprivate func save(_ choices: [PortChoice]) throws {
        try db.execute(
            sql: "INSERT INTO meta (key, value) VALUES ('port-choices', ?) "
                + "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            arguments: [Data(try JSON.text(choices).utf8)])
    }
}
