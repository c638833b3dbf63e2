import FHIR
import FoundationEssentials

/// What a server really does of what each regional profile needs, asked and not believed (sync.md 4.7, 1.6).
public struct ServerCheck: Sendable, Equatable {
    /// One thing that was looked at.
    public struct Finding: Sendable, Equatable, Codable {
        /// A stable key: `tus.version`.
        public var key: String
        public var isGood: Bool
        /// What was found, or what is missing; no identity, and of the server's words none.
        public var detail: String
        /// Profiles that can't do without it.
        public var neededBy: [String]
    }

    public private(set) var findings: [Finding] = []

    /// The best profile that it satisfies; `drop` needs no server.
    public var profile: RegionalProfile {
        RegionalProfile.allCases.first { $0 != .drop && missing(for: $0).isEmpty } ?? .drop
    }

    public func missing(for profile: RegionalProfile) -> [Finding] {
        findings.filter { !$0.isGood && $0.neededBy.contains(profile.rawValue) }
    }

    mutating func note(_ key: String, _ isGood: Bool, _ detail: String, _ needed: RegionalProfile...) {
        findings.append(
            Finding(key: key, isGood: isGood, detail: detail, neededBy: needed.map(\.rawValue)))
    }
}

extension ServerLink {
    /// Reads only: nothing is written, and no patient asked for.
    /// - Parameters:
    ///   - expected: where FHIR and DICOMweb are, for a server that doesn't say so itself.
    ///   - team: whose worklist is asked for.
    public func check(expecting expected: Offer, team: String) async -> ServerCheck {
        var check = ServerCheck()
        var offer = expected
        do throws(UplinkError) {
            switch try await discover() {
            case .offer(let found, _):
                offer = found
                check.note("discovery", true, "contracts \(found.contracts.joined(separator: ", "))", .full)
                check.note("store-epoch", found.storeEpoch != nil, found.storeEpoch ?? "not named", .full)
            default: check.note("discovery", false, "no /.well-known/ess-agent", .full)
            }
            check.note("reachable", true, "TLS and certificates", .full, .pacs, .fhir)
        } catch {
            switch error {
            case .link, .tls, .certificateRefused, .captivePortal, .configuration, .unauthorised:
                check.note("reachable", false, "\(error)", .full, .pacs, .fhir)
                return check
            default: check.note("discovery", false, "\(error)", .full)
            }
        }
        do throws(UplinkError) {
            let pong = try await ping()
            check.note("ping", pong.serverTime != nil, pong.serverTime == nil ? "no Date" : "204 with Date", .full)
        } catch { check.note("ping", false, "\(error)", .full) }
        await checkFHIR(offer, team, &check)
        await checkTus(offer, &check)
        await checkReceipts(offer, &check)
        await checkDicomweb(offer.bytes(.stow)?.url ?? expected.bytes(.stow)?.url ?? "/dicom-web", &check)
        return check
    }

    private func checkFHIR(_ offer: Offer, _ team: String, _ check: inout ServerCheck) async {
        let statement: CapabilityStatement
        do throws(UplinkError) {
            statement = try await capabilities(of: offer)
        } catch {
            return check.note("fhir.metadata", false, "\(error)", .full, .pacs, .fhir)
        }
        check.note(
            "fhir.version", statement.fhirVersion?.hasPrefix("4.0") ?? false, statement.fhirVersion ?? "not named",
            .full,
            .pacs, .fhir)
        check.note(
            "fhir.transaction", statement.hasTransactions, statement.hasTransactions ? "yes" : "not declared", .full,
            .pacs, .fhir)
        let written = ["Device", "Encounter", "Observation", "DocumentReference", "Provenance"]
        let refused = written.filter { !statement.updateCreates($0) }
        check.note(
            "fhir.update-create", refused.isEmpty,
            refused.isEmpty ? "PUT with the client's id" : "not for \(refused.joined(separator: ", "))", .full, .pacs,
            .fhir)
        check.note(
            "fhir.binary", statement.updateCreates("Binary"),
            statement.updateCreates("Binary") ? "PUT with the client's id" : "no Binary with the client's id", .fhir)
        do throws(UplinkError) {
            let worklist = try await WorklistLane(self, offer: offer, team: team).pull()
            if let failure = worklist.failure { throw failure }
            check.note(
                "worklist", true,
                "\(worklist.visits.count) visits, \(worklist.problems.count) tasks that make none"
                    + (worklist.wasWidened ? "; not every search parameter is known" : ""), .full, .pacs, .fhir)
        } catch { check.note("worklist", false, "\(error)", .full, .pacs, .fhir) }
    }

    private func checkTus(_ offer: Offer, _ check: inout ServerCheck) async {
        do throws(UplinkError) {
            let lane = try await BytesLane.open(self, offer: offer)
            check.note(
                "tus.version", true,
                "1.0.0, at most \(lane.tus.maxSize.map(String.init) ?? "?") bytes", .full)
            // Not needed, but then a damaged chunk is found only at the end.
            check.note("tus.checksum", lane.tus.checksum != nil, lane.tus.checksum?.rawValue ?? "not offered")
        } catch { check.note("tus.version", false, "\(error)", .full) }
    }

    private func checkReceipts(_ offer: Offer, _ check: inout ServerCheck) async {
        do throws(UplinkError) {
            // Nobody's: the only right answer is that it isn't known.
            let answer = try await receipt(for: UUID(), offer: offer)
            let response = answer == .unknown
            check.note("receipts", response, response ? "404 for what isn't there" : "an answer for nothing", .full)
        } catch { check.note("receipts", false, "\(error)", .full) }
    }

    private func checkDicomweb(_ root: String, _ check: inout ServerCheck) async {
        do throws(UplinkError) {
            let url = try below(root) + "/studies?limit=1&StudyInstanceUID=2.25.0"
            let response = try await exchange(.get, url, headers: ["Accept": "application/dicom+json"])
            if let error = UplinkError(response, from: origin) { throw error }
            let isList = response.status == 204 || response.isJSON && response.body.first == UInt8(ascii: "[")
            check.note("dicomweb.search", isList, isList ? "QIDO-RS" : "not DICOM JSON", .pacs)
            // An empty store: 400 or 415 from whoever speaks STOW-RS, 404 or 405 from who doesn't.
            let store = try await exchange(
                .post, try below(root) + "/studies",
                headers: [
                    "Content-Type": "multipart/related; type=\"application/dicom\"; boundary=ess",
                    "Accept": "application/dicom+json",
                ], body: .bytes(Array("--ess--\r\n".utf8)))
            let speaks = ![401, 403, 404, 405, 501].contains(store.status) && store.status < 500
            check.note("dicomweb.store", speaks, "\(store.status) to an empty store", .pacs)
        } catch { check.note("dicomweb.search", false, "\(error)", .pacs) }
    }
}
