import Clinical
import Devices
import Store

// Loans, retention, audit, backup: what is asked seldom.

public struct LoanView: Codable, Sendable, Equatable {
    public var id: Int64
    public var driver: String
    public var serial: String?
    public var visit: String
    public var from: String
    public var to: String?
    public var by: String
    /// Who took it back, and when (RFC 3339); nil while it is lent.
    public var returnedBy: String?
    public var returnedAt: String?
    /// Other loans of the same device at the same time: its nights then wait for a person.
    public var overlapping: [Int64]?
}

public struct LoanRequest: Codable, Sendable {
    /// A device as `ess-agent devices` names it, or `driver/serial` for one that isn't plugged in.
    public var device: String
    public var visit: String
    /// Local time; nil: now.
    public var from: String?
    public var until: String?
    public var by: String?

    public init(device: String, visit: String, from: String?, until: String?, by: String?) {
        self.device = device
        self.visit = visit
        self.from = from
        self.until = until
        self.by = by
    }
}

public struct PurgeView: Codable, Sendable, Equatable {
    public struct Item: Codable, Sendable, Equatable {
        public var recording: String
        public var goes: Bool
        /// Stable keys, English.
        public var reasons: [String]
        public var bytes: Int
        /// When the retention time ends, RFC 3339.
        public var due: String?
    }

    public var dryRun: Bool
    public var items: [Item]
    public var purged: [String]
}

public struct PurgeRequest: Codable, Sendable {
    public var dryRun: Bool?
    public var by: String?

    public init(dryRun: Bool, by: String?) {
        self.dryRun = dryRun
        self.by = by
    }
}

public struct AuditView: Codable, Sendable, Equatable {
    public var intact: Bool
    public var entries: Int?
    /// The first entry that isn't what was written, or is missing.
    public var brokenAt: Int64?
}

/// A line of the audit trail; no identity is in it.
public struct AuditLineView: Codable, Sendable, Equatable {
    public var id: Int64
    /// RFC 3339.
    public var at: String
    public var actor: String
    public var action: String
    public var subject: String
    public var details: String
}

public struct BackupRequest: Codable, Sendable {
    public var path: String
    public var by: String?

    public init(path: String, by: String?) {
        self.path = path
        self.by = by
    }
}

extension Verbs {
    public func loans() async throws -> [LoanView] {
        try await guarded { try await store.loans().map { LoanView($0) } }
    }

    /// What the device records while it is lent belongs to that visit's patient, whoever's visit is open when it comes back.
    public func lend(_ request: LoanRequest) async throws -> LoanView {
        try await guarded {
            let (driver, serial) = try await device(request.device)
            guard try await store.visit(request.visit) != nil else { throw Problem.visitNotFound(request.visit) }
            let from = try time(request.from) ?? now()
            let (loan, overlapping) = try await store.lend(
                driver: driver, serial: serial, to: request.visit, from: from, until: try time(request.until),
                by: who(request.by), at: clock.wall)
            var view = LoanView(loan)
            view.overlapping = overlapping.isEmpty ? nil : overlapping.map(\.id)
            return view
        }
    }

    /// - Parameter id: the loan's number, or the device: then its only loan that runs.
    public func takeBack(_ id: String, _ request: StartTimeRequest) async throws -> LoanView {
        try await guarded {
            let number = if let number = Int64(id) { number } else { try await runningLoan(of: id) }
            let end = request.start.isEmpty ? try now() : try time(request.start) ?? now()
            return LoanView(
                try await store.takeBack(loan: number, until: end, by: who(request.by), at: clock.wall))
        }
    }

    /// What would go and why the rest stays; without `dryRun` it goes.
    public func purge(_ request: PurgeRequest) async throws -> PurgeView {
        try await guarded {
            let verdicts = try await store.purgeable(now: clock.wall, policy: configuration.purgePolicy)
            let isDry = request.dryRun ?? false
            var purged: [RecordingID] = []
            if !isDry {
                purged = try await store.purge(
                    now: clock.wall, policy: configuration.purgePolicy, by: who(request.by))
            }
            return PurgeView(
                dryRun: isDry,
                items: verdicts.map {
                    PurgeView.Item(
                        recording: "\($0.recording)", goes: $0.goes, reasons: $0.reasons.map(\.rawValue),
                        bytes: $0.bytes,
                        due: $0.due.map(rfc3339(unixMilliseconds:)))
                },
                purged: purged.map { "\($0)" })
        }
    }

    public func verifyAudit() async throws -> AuditView {
        try await guarded {
            switch try await store.verifyAudit() {
            case .intact(let entries): AuditView(intact: true, entries: entries, brokenAt: nil)
            case .broken(let at): AuditView(intact: false, entries: nil, brokenAt: at)
            }
        }
    }

    /// The newest lines first.
    /// - Parameter limit: 1 to 100 000; others are brought into that range.
    public func auditTrail(limit: Int) async throws -> [AuditLineView] {
        try await guarded {
            try await store.auditEntries(limit: min(max(limit, 1), 100_000)).map {
                AuditLineView(
                    id: $0.id, at: rfc3339(unixMilliseconds: $0.at), actor: $0.actor, action: $0.action,
                    subject: $0.subject, details: $0.details)
            }
        }
    }

    /// A consistent, still encrypted copy; useless without the master key.
    public func backup(_ request: BackupRequest) async throws -> BackupRequest {
        try await guarded {
            guard request.path.hasPrefix("/") else { throw Problem.badRequest("Le chemin doit être absolu.") }
            try await store.backup(to: request.path, by: who(request.by))
            return request
        }
    }

    private func time(_ text: String?) throws -> LocalTime? {
        guard let text else { return nil }
        guard let time = LocalTime(text) else { throw Problem.badRequest("L'heure s'écrit « 2026-11-22 23:05:00 ».") }
        return time
    }

    private func now() throws -> LocalTime {
        guard let now = localTime(ofUnixMilliseconds: clock.wall).time else { throw Problem.internalFailure }
        return now
    }

    private func runningLoan(of name: String) async throws -> Int64 {
        let running = try await store.loans().filter { $0.returnedAt == nil }
        var serials = [name]
        if let (_, serial) = try? await device(name), let serial { serials.append(serial) }
        let named = running.filter { loan in loan.serial.map(serials.contains) ?? false }
        guard let only = named.first, named.count == 1 else {
            throw Problem.badRequest(
                named.isEmpty
                    ? "Aucun prêt en cours pour cet appareil. `ess-agent loan list` les montre tous."
                    : "Plusieurs prêts en cours pour cet appareil : donnez le numéro (`ess-agent loan list`).")
        }
        return only.id
    }

    private func device(_ name: String) async throws -> (driver: String, serial: String?) {
        if let view = await hub.views().first(where: { $0.name == name || $0.port == name || $0.serial == name }) {
            return (view.driver, view.serial)
        }
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        // A machine with a card is lent as well, and is never plugged in itself.
        let known = Registry.dialogues.map(\.name) + Registry.importers.map(\.name)
        guard parts.count == 2, known.contains(parts[0]) else { throw Problem.deviceNotFound(name) }
        return (parts[0], parts[1])
    }
}

extension LoanView {
    init(_ loan: Loan) {
        self.init(
            id: loan.id, driver: loan.driver, serial: loan.serial, visit: loan.visit, from: "\(loan.from)",
            to: loan.to?.description, by: loan.by, returnedBy: loan.returnedBy,
            returnedAt: loan.returnedAt.map(rfc3339(unixMilliseconds:)), overlapping: nil)
    }
}
