import Clinical
import Formats
import FoundationEssentials
import Glibc
import Store

/// What is in a support bundle. Built up from what support needs, never by taking out of what there is: a field that
/// nobody thought of isn't in it. No name, no INS, no birth date, no server id of a patient or visit, no account, no path.
struct SupportReport: Encodable {
    var version: String
    var made: String
    var system: System
    var doctor: DoctorView
    var sync: Link
    var counts: StatusView.Counts
    var settings: [String: String]
    var devices: [Device]
    var recordings: [Recorded]
    var visits: Int
    var loans: Int
    var audit: Audit

    struct System: Encodable {
        var name: String?
        var kernel: String
        var zoneOffsetMinutes: Int
        var clockSynchronised: Bool?
        var bootID: String
        var freeBytes: Int64?
    }

    struct Link: Encodable {
        var state: String
        var problem: String?
        var lastContact: String?
    }

    struct Device: Encodable {
        var driver: String
        var vendor: String
        var model: String
        var firmware: String?
        var simulated: Bool
        var support: String
        var lastSeen: String
        var surprises: [String]
    }

    struct Recorded: Encodable {
        var id: String
        var kind: String
        var modality: String
        var origin: String
        var state: String
        var endReason: String?
        var driver: String
        var begun: String
        var startSource: String
        var seconds: Double
        var bytes: Int
        var binding: String?
        var unattributed: String?
        var purged: Bool
        var documents: [Sent]

        struct Sent: Encodable {
            var role: String
            var mediaType: String
            var size: Int
            var stage: String
            var facts: String
            var attempts: Int
        }
    }

    struct Audit: Encodable {
        var intact: Bool?
        /// How often each thing was done.
        var actions: [String: Int]
    }
}

extension Verbs {
    /// A tar archive that a person can read before sending it, and that names nobody.
    public func report() async throws -> ExportedFile {
        try await guarded {
            let now = localTime(ofUnixMilliseconds: clock.wall)
            let link = await sync.view()
            var actions: [String: Int] = [:]
            for entry in try await store.auditEntries(limit: 10_000) { actions[entry.action, default: 0] += 1 }
            let report = SupportReport(
                version: agentVersion, made: rfc3339(unixMilliseconds: clock.wall),
                system: SupportReport.System(
                    name: Self.systemName, kernel: Self.kernel, zoneOffsetMinutes: now.utcOffsetMinutes,
                    clockSynchronised: clock.isSynchronised, bootID: clock.bootID,
                    freeBytes: DiskPolicy.freeSpace(at: stateDirectory)),
                doctor: DoctorView(findings: try await doctor(isThorough: false).findings.map(\.withoutAddress)),
                sync: SupportReport.Link(state: link.state, problem: link.problem, lastContact: link.lastContact),
                counts: try await status().counts, settings: configuration.harmless,
                devices: try await store.devices().map(SupportReport.Device.init),
                recordings: try await store.recordings(limit: 5000).map(SupportReport.Recorded.init),
                visits: try await store.visits().count, loans: try await store.loans().count,
                audit: SupportReport.Audit(intact: try? await verifyAudit().intact, actions: actions))
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let bundle = Ustar([
                Ustar.Entry(name: "LISEZ-MOI.txt", bytes: Array(ReportText.about.utf8)),
                Ustar.Entry(name: "report.json", bytes: Array(try encoder.encode(report))),
            ])
            do {
                return ExportedFile(mediaType: "application/x-tar", bytes: try bundle.encoded())
            } catch {
                throw Problem.internalFailure
            }
        }
    }

    private static var systemName: String? {
        guard let text = try? String(contentsOf: URL(filePath: "/etc/os-release"), encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
        return line.map { String($0.dropFirst(12)).replacing("\"", with: "") }
    }

    /// Without the node's name: people name laptops after people.
    private static var kernel: String {
        (try? String(contentsOf: URL(filePath: "/proc/sys/kernel/osrelease"), encoding: .utf8))?
            .replacing("\n", with: "") ?? "?"
    }
}

extension Finding {
    /// What libcurl says of a failed connection names the centre's host.
    fileprivate var withoutAddress: Finding {
        check == "server" ? Finding(check, level, french, "Server link: see sync.") : self
    }
}

extension SupportReport.Device {
    init(_ device: KnownDevice) {
        let identity = device.identity
        self.init(
            driver: identity.driver, vendor: identity.vendor, model: identity.model, firmware: identity.firmware,
            simulated: identity.isSimulated, support: identity.support.rawValue,
            lastSeen: rfc3339(unixMilliseconds: device.lastSeen), surprises: device.surprises)
    }
}

extension SupportReport.Recorded {
    init(_ summary: RecordingSummary) {
        self.init(
            id: "\(summary.id)", kind: summary.kind.rawValue, modality: summary.modality.rawValue,
            origin: summary.origin.rawValue, state: summary.state.rawValue, endReason: summary.endReason?.rawValue,
            driver: summary.device.driver, begun: rfc3339(unixMilliseconds: summary.clock.hostWall),
            startSource: summary.clock.source.rawValue, seconds: summary.seconds, bytes: summary.bytes,
            binding: summary.binding?.reason.rawValue, unattributed: summary.unattributed?.rawValue,
            purged: summary.purgedAt != nil,
            documents: summary.documents.map {
                Sent(
                    role: $0.document.role.rawValue, mediaType: $0.document.mediaType, size: $0.document.size,
                    stage: $0.stage.rawValue, facts: $0.facts.rawValue, attempts: $0.attempts)
            })
    }
}

extension Configuration {
    /// What can be told: numbers and switches; of addresses and paths only that they are set.
    var harmless: [String: String] {
        func isSet(_ value: String?) -> String { value == nil ? "no" : "set" }
        return [
            "server": isSet(server), "server-ca": isSet(serverCA), "client-certificate": isSet(clientCertificate),
            "client-key": isSet(clientKey), "master-key": masterKeyIsCredential ? "credential" : isSet(masterKey),
            "test-server": isTestServer ? "yes" : "no", "retry-min": "\(retryMinimum)", "retry-max": "\(retryMaximum)",
            "worklist-interval": "\(worklistInterval)", "refusal-window": "\(refusalWindow)",
            "page-port": "\(pagePort)", "log-level": logLevel, "port": "\(ports.count)",
            "retention-days": "\(retentionDays)",
        ]
    }
}
