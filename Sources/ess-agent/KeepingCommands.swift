import Agent
import ArgumentParser

struct LoanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loan", abstract: "A recorder handed to a patient for a period.",
        subcommands: [Give.self, Return.self, List.self])

    struct Give: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write down that a device is lent: what it records meanwhile is that patient's.")
        @Argument(help: "A plugged device's name or serial number, or driver/serial (resmed-card/2318…).") var device:
            String
        @Argument(help: "The visit whose patient it is lent to.") var visit: String
        @Option(help: "Local time from when on; default: now.") var from: String?
        @Option(help: "Local time until when, if agreed.") var until: String?
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let loan: LoanView = try await options.client().post(
                "/api/loans", LoanRequest(device: device, visit: visit, from: from, until: until, by: account()))
            if output.json { return try printJSON(loan) }
            print(Texts.lent(loan.id, loan.serial ?? loan.driver, loan.visit))
            if let others = loan.overlapping { print(Texts.overlapping(others)) }
        }
    }

    struct Return: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write down that a lent device is back.")
        @Argument(help: "The loan's number, or the device's serial number.") var loan: String
        @Option(help: "Local time until when it was the patient's; default: now.") var until: String?
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let view: LoanView = try await options.client().post(
                "/api/loans/\(component(loan))/return", StartTimeRequest(start: until ?? "", by: account()))
            output.json ? try printJSON(view) : print(Texts.returned(view.id))
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All loans, the newest first.")
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let loans: [LoanView] = try await options.client().get("/api/loans")
            if output.json { return try printJSON(loans) }
            printTable(
                Texts.loanHeader,
                loans.map {
                    [
                        "\($0.id)", $0.driver, $0.serial ?? "-", $0.visit, $0.from, $0.to ?? "-",
                        $0.returnedBy == nil ? Texts.stillLent : Texts.givenBack,
                    ]
                })
        }
    }
}

struct Purge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete what the server has confirmed and whose retention time is over.",
        discussion: "Nothing goes without a matching receipt. --dry-run says what would go, and why the rest stays.")
    @Flag(help: "Only say it.") var dryRun = false
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let view: PurgeView = try await options.client().post("/api/purge", PurgeRequest(dryRun: dryRun, by: account()))
        if output.json { return try printJSON(view) }
        printTable(
            Texts.purgeHeader,
            view.items.map { item in
                [
                    item.recording, item.goes ? Texts.goes : Texts.stays,
                    item.reasons.map { Texts.stays($0, item.due) }.joined(separator: ", "),
                ]
            })
        if !view.dryRun { print(Texts.purged(view.purged.count)) }
    }
}

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "The trail of who did what.", subcommands: [Verify.self, List.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Who did what and when, the newest first.")
        @Option(help: "At most so many.") var limit = 100
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func validate() throws {
            guard (1...100_000).contains(limit) else { throw ValidationError("--limit is 1 to 100000.") }
        }

        func run() async throws {
            let lines: [AuditLineView] = try await options.client().get("/api/audit?limit=\(limit)")
            if output.json { return try printJSON(lines) }
            for line in lines {
                print([line.at, line.actor, line.action, line.subject, line.details].joined(separator: "  "))
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look for entries that were changed, removed, reordered or cut off; exit status 1 if there are.")
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let view: AuditView = try await options.client().get("/api/audit/verify")
            output.json ? try printJSON(view) : print(Texts.audit(view.intact, view.entries, view.brokenAt))
            if !view.intact { throw ExitCode.failure }
        }
    }
}

struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy the store while everything goes on: consistent, still encrypted.",
        discussion: "The copy is useless without the master key, which is not in it: keep that apart.")
    @Argument(help: "A file that doesn't exist yet.") var path: String
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let view: BackupRequest = try await options.client().post(
            "/api/backup", BackupRequest(path: absolutePath(path), by: account()))
        print(Texts.backedUp(view.path))
    }
}
