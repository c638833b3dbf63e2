import ArgumentParser
import Foundation
import Glibc
import Logging

struct Place: ParsableArguments {
    @Option(name: .long, help: "The server's directory.")
    var directory: String

    var home: Home {
        // Nothing that this program makes is for other users of the machine.
        umask(0o077)
        return Home(directory)
    }
}

extension Authentication: ExpressibleByArgument {}

struct Listening: ParsableArguments {
    @Option(name: .long, help: "TCP port; 0 is any free one.")
    var port = 8443
    @Option(name: .long, help: "Address to listen on.")
    var address = "127.0.0.1"
    @Option(name: .long, help: "Written with the port, once the server listens.")
    var portFile: String?
    @Option(name: .long, help: "Bytes of the longest recording.")
    var maxSize = 8 << 30
    @Option(
        name: .long,
        help: "A fault for tests, such as status=503:4:bytes; the conformance page of the docs names them all.")
    var fault: [String] = []
    @Option(name: .long, help: "How agents prove who they are: certificate, token (RFC 8705) or private-key-jwt.")
    var authentication = Authentication.certificate
    @Option(
        name: .long, help: "TCP port where new laptops get their certificates, without having one; 0 is any free one.")
    var enrolmentPort: Int?
    @Option(name: .long, help: "Written with that port, once it listens.")
    var enrolmentPortFile: String?
    @Option(name: .long, help: "Days that the certificates given out there live.")
    var certificateDays = 730.0
    @Option(name: .long, help: "Seconds that an access token lives.")
    var tokenSeconds = 3600
    @Option(name: .long, help: "PEM file of a public key that may sign for private-key-jwt. May be repeated.")
    var clientKey: [String] = []

    func server(_ home: Home) throws -> Server {
        guard (0...65_535).contains(port) else { throw Trouble("--port is 0 to 65535") }
        guard maxSize > 0 else { throw Trouble("--max-size is a positive number of bytes") }
        guard (1...86_400).contains(tokenSeconds) else { throw Trouble("--token-seconds is 1 to 86400") }
        let faults = try Faults(fault)
        return Server(
            home: home, address: address, port: port, portFile: portFile.map { URL(fileURLWithPath: $0) },
            maxSize: maxSize, faults: faults,
            tokens: try Tokens(authentication, seconds: tokenSeconds, keyFiles: clientKey, faults: faults),
            needsCertificate: authentication != .privateKeyJWT, enrolmentPort: enrolmentPort,
            enrolmentPortFile: enrolmentPortFile.map { URL(fileURLWithPath: $0) }, certificateDays: certificateDays)
    }
}

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the authority, the server certificate and the store. Keeps what is there.")
    @OptionGroup var place: Place
    @Option(name: .long, help: "A name or address of this server, beside localhost. May be repeated.")
    var host: [String] = []

    func run() throws { try Self.initialise(place.home, hosts: host) }

    static func initialise(_ home: Home, hosts: [String]) throws {
        try home.prepare()
        for note in try Authority(home: home).initialise(hosts: hosts) { Terminal.say(note) }
        let there = Disk.exists(home.database)
        let ledger = try Ledger(home)
        Terminal.say("\(there ? "kept" : "made") the store \(home.database.path), epoch \(ledger.storeEpoch)")
    }
}

struct Enrol: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make one laptop's certificate and key.")
    @OptionGroup var place: Place
    @Option(name: .long, help: "The laptop's name.")
    var name: String
    @Option(name: .long, help: "The directory for ca.pem, client.pem and client.key.")
    var output: String
    @Option(name: .long, help: "Days that the certificate lives.")
    var days = 730.0

    func run() throws {
        Terminal.say(
            try Authority(home: place.home).enrol(
                name: name, into: URL(fileURLWithPath: output, isDirectory: true), days: days))
    }
}

struct Invite: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a one-time code with which a new laptop gets its certificate (`ess-agent enrol`).")
    @OptionGroup var place: Place
    @Option(name: .long, help: "The laptop's name.")
    var name: String
    @Option(name: .long, help: "Hours that the code is good for.")
    var hours = 72.0

    func run() throws {
        try place.home.requireInitialised()
        let invitations = Invitations(home: place.home, ledger: try Ledger(place.home), days: 0)
        Terminal.say(try invitations.invite(name: name, hours: hours))
    }
}

struct Seed: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load a worklist: a transaction or collection Bundle, or a built-in fictional day.")
    @OptionGroup var place: Place
    @Option(name: .long, help: "The Bundle.")
    var file: String?
    @Flag(name: .long, help: "Put the seeded version over resources that are already there.")
    var replace = false

    func run() throws { try Self.seed(place.home, file: file, replace: replace) }

    static func seed(_ home: Home, file: String?, replace: Bool) throws {
        try home.requireInitialised()
        let bundle: JSON
        if let file {
            do { bundle = try JSON(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: file)))) } catch let error
                as JSON.ParseError
            {
                throw Trouble("\(file) is not JSON: \(error.reason), at byte \(error.offset)")
            }
        } else {
            bundle = FictionalDay(now: Date()).bundle
        }
        Terminal.say(try Worklist(bundle: bundle, replace: replace).load(into: try Ledger(home)))
    }
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve, until SIGTERM or SIGINT.")
    @OptionGroup var place: Place
    @OptionGroup var listening: Listening

    func run() async throws { try await listening.server(place.home).run() }
}

struct Restored: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say that this store was put back from a backup: agents then check every receipt again.")
    @OptionGroup var place: Place

    func run() throws {
        try place.home.requireInitialised()
        let lock = try place.home.lock()
        defer { try? lock.close() }
        Terminal.say("the store's epoch is now \(try Ledger(place.home).mintEpoch())")
    }
}

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What is stored, hashed again from the disk.")
    @OptionGroup var place: Place
    @Flag(name: .long, help: "As a JSON array.")
    var json = false

    func run() throws {
        let home = place.home
        try home.requireInitialised()
        let quiet = Logger(label: "ess-server") { _ in SwiftLogNoOpLogHandler() }
        let recordings = Recordings(home: home, ledger: try Ledger(home), logger: quiet)
        var rows: [JSON] = []
        for recording in try recordings.all() {
            let path = home.recording(recording.rid)
            let found = try? Disk.hash(path)
            rows.append([
                "rid": .string(recording.rid), "path": .string(path.path), "size": found.map { JSON($0.size) } ?? .null,
                "sha256": found.map { .string($0.sha256) } ?? .null,
                "intact": .bool(found?.sha256 == recording.sha256 && found?.size == recording.size),
                "storedAt": .string(Instant.text(recording.stored)),
                "filename": recording.filename.map(JSON.string) ?? .null,
                "filetype": recording.filetype.map(JSON.string) ?? .null,
                "visit": recording.visit.map(JSON.string) ?? .null,
            ])
        }
        if json { return Terminal.say(JSON.array(rows).text) }
        for row in rows {
            let size: String = if case .number(let digits)? = row["size"] { digits } else { "missing" }
            let mark = row["intact"] == true ? "" : "  DAMAGED"
            Terminal.say(
                "\(row["rid"]?.string ?? "")  \(size)  \(row["sha256"]?.string ?? "-")  \(row["path"]?.string ?? "")\(mark)"
            )
        }
    }
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "init, seed and serve: for a first run.")
    @OptionGroup var place: Place
    @OptionGroup var listening: Listening
    @Option(name: .long, help: "A name or address of this server, beside localhost. May be repeated.")
    var host: [String] = []

    func run() async throws {
        let home = place.home
        let server = try listening.server(home)
        try Init.initialise(home, hosts: host)
        try Seed.seed(home, file: nil, replace: false)
        try await server.run()
    }
}
