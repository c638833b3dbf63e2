import Wire

/// A device of the personal healthcare class (phdc.md 15), on the driver's own codec: associates by itself, proposes a
/// configuration, answers requests, reports, streams through a scanner, sends stored segments, and makes the mistakes it
/// is told to. What it is and says is in `PhdcSimulator+Devices`, what it answers in `+Answers`.
public struct PhdcSimulator: DeviceSimulator {
    /// A report: what it says, and when.
    struct Report: Sendable {
        var items: [PhdcScanReport.Item]
        /// Seconds after the association is agreed.
        var after: Double
        var confirmed = true
        /// Skips so many numbers first, as if reports had been lost.
        var lostBefore: UInt16 = 0
        /// Bytes behind the list.
        var surplus: [UInt8] = []
        /// Sends exactly these bytes as event information instead.
        var info: [UInt8]?
        var eventType: UInt16?
    }

    struct Segment: Sendable {
        var info: PhdcSegmentInfo
        /// Each entry as it is stored.
        var entries: [[UInt8]]
        /// Entries in one event.
        var portion = 2
    }

    /// What it does wrong (phdc.md 15.3).
    enum Fault: String, Sendable, Hashable, CaseIterable {
        case foreignProtocol = "foreign-protocol"
        case wrongVersion = "wrong-version"
        case noMDER = "no-mder"
        case shortSystemID = "short-system-id"
        case testAssociation = "test-association"
        case manyVersions = "many-versions"
        case badConfigurationFirst = "bad-configuration-first"
        case unreadableConfigurationFirst = "unreadable-configuration-first"
        case noConfiguration = "no-configuration"
        case mute
        case anonymous
        case repeatsReports = "repeats-reports"
        case storeRecording = "store-recording"
        case refusesTransfer = "refuses-transfer"
        case abortsTransfer = "aborts-transfer"
        case repeatsSegmentData = "repeats-segment-data"
        case skipsSegmentData = "skips-segment-data"
        case stallsInTransfer = "stalls-in-transfer"
        case wrongEntryCount = "wrong-entry-count"
        case padding
        case preamble
        case joined
        case reportsInTransfer = "reports-in-transfer"
        case gaveUp = "gave-up"
        case sulks

        var explanation: String {
            switch self {
            case .foreignProtocol: "another protocol first"
            case .wrongVersion: "a wrong version first"
            case .noMDER: "no MDER encoding first"
            case .shortSystemID: "a system-id of seven bytes first"
            case .testAssociation: "a test association first"
            case .manyVersions: "offers more versions than one"
            case .badConfigurationFirst: "a configuration that nobody can use first"
            case .unreadableConfigurationFirst: "a configuration that can not be read first"
            case .noConfiguration: "never sends its configuration"
            case .mute: "never says anything"
            case .anonymous: "does not tell who it is"
            case .repeatsReports: "repeats a confirmed report, as if the answer had been lost"
            case .storeRecording: "the store is recording"
            case .refusesTransfer: "refuses the transfer"
            case .abortsTransfer: "aborts in the middle of a transfer"
            case .repeatsSegmentData: "a portion of a segment twice"
            case .skipsSegmentData: "a portion of a segment is missing"
            case .stallsInTransfer: "silent in the middle of a transfer"
            case .wrongEntryCount: "a count that is not that of the entries"
            case .padding: "bytes of a buffer behind each message"
            case .preamble: "a metadata preamble before each message"
            case .joined: "two messages in one transfer"
            case .reportsInTransfer: "a report in the middle of a transfer"
            case .gaveUp: "nobody answered it in time: silent until it is configured anew"
            case .sulks: "silent after an abort until it is configured anew"
            }
        }
    }

    /// What kind of device it is.
    public struct Configuration: Sendable {
        var systemID: [UInt8] = [0x0A, 0x1B, 0x2C, 0xFF, 0xFE, 0x53, 0x49, 0x4D]
        var manufacturer = "Simulated"
        var model = "PHD"
        var serial = "SIM00001"
        var specialisation: UInt16 = 0x1000
        var configuration: PhdcConfiguration
        /// More attributes of the MDS.
        var attributes: [PhdcAttribute] = []
        var reports: [Report] = []
        /// Stored segments by store.
        var stores: [UInt16: [Segment]] = [:]
        /// Says goodbye so many seconds after the association.
        var releasesAfter: Double?
        var requestModes: UInt16 = 0x0001
        var faults: Set<Fault> = []
        /// Unconfirmed reports come by the interrupt endpoint.
        var usesInterrupt = false
        /// Bytes in each transfer; nil: one APDU.
        var transferSize: Int?
        /// The counter of its relative clock at the beginning.
        var ticks: UInt32 = 64_000

        init(_ configuration: PhdcConfiguration) { self.configuration = configuration }
    }

    enum State: Sendable, Equatable {
        case unassociated, associating, configuring, operating, off
    }

    var configuration: Configuration
    var state = State.unassociated
    /// When the next attempt is made.
    var dueAt: UInt64 = 0
    var attempts = 0
    var proposals = 0
    var operatingSince: UInt64 = 0
    var reported = 0
    var numbers: [UInt16: UInt16] = [:]
    var invoke: UInt16 = 0x4321
    /// Confirmed requests of ours that wait for an answer, by invoke id.
    var waiting: [UInt16: PhdcEvent] = [:]
    var lastReportAt: UInt64 = 0
    var scanning: [UInt16: (since: UInt64, sent: Int)] = [:]
    var transfer: (store: UInt16, segment: Int, next: Int, waiting: Bool)?
    var framer = PhdcFramer()
    /// Reports whose confirmation came, by their invoke ids.
    public internal(set) var confirmed: [UInt16] = []
    /// Reports that the host rejected: the device keeps them.
    public internal(set) var rejected: [UInt16] = []
    public internal(set) var aborts: [UInt16] = []
    /// How often the host asked to erase stored segments. Our driver never does.
    public internal(set) var clearCommands = 0

    /// It was without a configuration; the host that enumerates it first does not count.
    private var isUnconfigured = false
    /// How often it was made to begin anew.
    public private(set) var renewals = 0

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        if configuration.faults.contains(.gaveUp) { state = .off }
    }

    public mutating func configured(_ value: UInt8, at now: UInt64) {
        guard value != 0, isUnconfigured else {
            isUnconfigured = value == 0
            return
        }
        isUnconfigured = false
        renewals += 1
        forget(until: now + 1_000_000_000)
        attempts = 0
        framer = PhdcFramer()
    }

    /// No association any more; the next attempt is at `due`.
    mutating func forget(until due: UInt64) {
        state = .unassociated
        dueAt = due
        transfer = nil
        scanning = [:]
        waiting = [:]
    }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        guard state != .off else { return [] }
        var answers: [PhdcApdu] = []
        for case .apdu(let bytes) in framer.take(bytes, at: now) {
            guard let apdu = try? PhdcApdu(bytes) else {
                answers.append(.abort(reason: 0))
                state = .unassociated
                continue
            }
            answers += take(apdu, at: now)
        }
        return transfers(answers)
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        var out: [PhdcApdu] = []
        switch state {
        case .off, .configuring: break
        case .unassociated, .associating:
            guard now >= dueAt else { break }
            attempts += 1
            guard attempts <= 3 else {
                out.append(.abort(reason: 0))
                state = .off
                break
            }
            state = .associating
            dueAt = now + 10_000_000_000
            out.append(request())
        case .operating: out += reports(at: now) + scans(at: now) + release(at: now)
        }
        return transfers(out)
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        switch state {
        case .off, .configuring: return nil
        case .unassociated, .associating: return max(dueAt, now + 1)
        case .operating:
            var next: [UInt64] = []
            if reported < configuration.reports.count {
                next.append(operatingSince + UInt64(configuration.reports[reported].after * 1e9))
            }
            next += scanning.map { dueTime($0.key, $0.value) }
            if let release = configuration.releasesAfter { next.append(operatingSince + UInt64(release * 1e9)) }
            return next.min().map { max($0, now + 1) }
        }
    }

    /// One APDU in each transfer, unless told otherwise.
    private func transfers(_ apdus: [PhdcApdu]) -> [[UInt8]] {
        var portions = apdus.map(\.wire)
        if configuration.faults.contains(.preamble) {
            portions = portions.map { PhdcFramer.signature + [1, 1, 8, 2, 0xAA, 0xBB] + $0 }
        }
        if configuration.faults.contains(.joined) { portions = portions.isEmpty ? [] : [portions.flatMap { $0 }] }
        if configuration.faults.contains(.padding) { portions = portions.map { $0 + [0, 0, 0, 0, 0] } }
        guard let size = configuration.transferSize, size > 0 else { return portions }
        return portions.flatMap { bytes in
            stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
        }
    }

    /// What may be lost needs no reliable endpoint: unconfirmed reports (phdc.md 2.5). One message in a portion.
    public func isBeside(_ portion: [UInt8]) -> Bool {
        // PRST, its length, the length again, an invoke id, then the choice: 0100 is an unconfirmed event report.
        configuration.usesInterrupt && portion.count > 12 && portion[0] == 0xE7 && portion[8] == 0x01 && portion[9] == 0
    }

    private func request() -> PhdcApdu {
        var information = PhdcAssociationInformation(systemType: 0x0080_0000, systemID: configuration.systemID)
        information.configuration = configuration.configuration.id
        information.requestModes = configuration.requestModes
        information.agentCount = 1
        // The fault is in the first request only.
        let faults = attempts == 1 ? configuration.faults : configuration.faults.intersection([.manyVersions])
        if faults.contains(.manyVersions) { information.protocolVersion = 0xC000_0000 }
        if faults.contains(.noMDER) { information.encodingRules = 0x4000 }
        if faults.contains(.shortSystemID) { information.systemID = [1, 2, 3, 4] }
        if faults.contains(.testAssociation) { information.functionalUnits = 0x2000_0000 }
        var request = PhdcAssociationRequest(information)
        if faults.contains(.wrongVersion) { request.version = 0x4000_0000 }
        if faults.contains(.foreignProtocol) { request.protocols[0].id = 0xFFFF }
        return .associationRequest(request)
    }

    // MARK: Reports

    func ticks(at now: UInt64) -> UInt32 {
        configuration.ticks &+ UInt32(truncatingIfNeeded: (now - min(now, operatingSince)) / 125_000)
    }

    private mutating func reports(at now: UInt64) -> [PhdcApdu] {
        var out: [PhdcApdu] = []
        while reported < configuration.reports.count,
            transfer == nil || configuration.faults.contains(.reportsInTransfer)
        {
            let report = configuration.reports[reported]
            guard now >= operatingSince + UInt64(report.after * 1e9) else { break }
            reported += 1
            out += say(report, at: now)
        }
        return out
    }

    mutating func say(_ report: Report, at now: UInt64) -> [PhdcApdu] {
        let number = (numbers[0] ?? 0) &+ report.lostBefore
        numbers[0] = number &+ 1
        let persons = report.items.contains { $0.person != nil }
        var type: UInt16 = persons ? 0x0D1F : 0x0D1D
        if case .variable = report.items.first?.content { type += 1 }
        let info = report.info ?? PhdcScanReport(number: number, items: report.items).wire + report.surplus
        let event = PhdcEvent(
            handle: 0, time: ticks(at: now), type: report.eventType ?? type, info: info)
        let apdu = self.event(event, confirmed: report.confirmed)
        return report.confirmed && configuration.faults.contains(.repeatsReports) ? [apdu, apdu] : [apdu]
    }

    mutating func event(_ event: PhdcEvent, confirmed: Bool) -> PhdcApdu {
        invoke &+= 1
        if confirmed { waiting[invoke] = event }
        return .presentation(PhdcData(invoke, .event(event, confirmed: confirmed)))
    }

    private mutating func release(at now: UInt64) -> [PhdcApdu] {
        guard let after = configuration.releasesAfter, now >= operatingSince + UInt64(after * 1e9) else { return [] }
        state = .off
        return [.releaseRequest(reason: 0)]
    }

    // MARK: Scanners

    private func dueTime(_ handle: UInt16, _ scan: (since: UInt64, sent: Int)) -> UInt64 {
        scan.since + UInt64(scan.sent + 1) * period(handle)
    }

    /// Nanoseconds between two reports of a scanner.
    private func period(_ handle: UInt16) -> UInt64 {
        let ticks = configuration.configuration[handle]?.attributes[id: 0x0975]?.u32 ?? 8000
        return UInt64(max(ticks, 8)) * 125_000
    }

    private mutating func scans(at now: UInt64) -> [PhdcApdu] {
        var out: [PhdcApdu] = []
        for handle in scanning.keys.sorted() {
            while let scan = scanning[handle], now >= dueTime(handle, scan) {
                scanning[handle]?.sent += 1
                guard let map = configuration.configuration[handle]?.scannerMap else { break }
                let data = map.flatMap { values(of: $0.handle, $0.map, scan.sent) }
                let number = numbers[handle] ?? 0
                numbers[handle] = number &+ 1
                let report = PhdcScanReport(
                    number: number, items: [PhdcScanReport.Item(person: nil, content: .grouped(data))])
                out.append(
                    event(
                        PhdcEvent(handle: handle, time: ticks(at: now), type: 0x0D2A, info: report.wire),
                        confirmed: false))
            }
        }
        return out
    }

    /// One update of an object: a heart beat a second, far from beautiful, always the same.
    func values(of handle: UInt16, _ map: [PhdcMapEntry], _ update: Int) -> [UInt8] {
        var writer = ByteWriter()
        for entry in map {
            let object = configuration.configuration[handle]
            guard entry.attribute == PhdcAttributeID.samples, let wave = object.flatMap({ PhdcWave($0) }),
                let specification = wave.specification
            else {
                writer.append(contentsOf: Array(repeating: 0, count: max(0, Int(entry.length) - 2)))
                writer.bigEndian(72 as UInt16)
                continue
            }
            writer.bigEndian(UInt16(specification.bytes))
            for index in 0..<specification.count {
                let position = (update * specification.count + index) * wave.period % 8000
                let beat = max(0, 200 - abs(position - 2400)) * 5
                writer.bigEndian(Int16(clamping: beat + Int(handle) + update % 7))
            }
        }
        return writer.bytes
    }
}
