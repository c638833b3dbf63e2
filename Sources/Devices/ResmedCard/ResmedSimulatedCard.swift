public import Clinical
import Wire

/// Makes a ResMed card's directory tree with synthetic breathing, always the same for the same card. The machine's serial
/// number begins with `SIM` in the identification and in every file's header, which marks each session as simulated.
public struct ResmedSimulatedCard: Sendable, Equatable {
    public enum Model: String, Sendable, CaseIterable { case s9, airSense10, airSense11 }

    /// What is to be wrong, or special, with the first session (devices.md 4.9).
    public enum Fault: String, Sendable, CaseIterable {
        case none
        /// One byte of the second record of BRP.
        case flippedData
        /// One byte of BRP's header.
        case flippedHeader
        /// BRP, PLD and SA2 hold nothing: the mask was on for seconds.
        case noRecords
        /// BRP's last record is cut.
        case cutRecord
        /// BRP says -1 records: it was never closed.
        case recordsUnknown
        case noStatisticsFile
        case frenchLabels
        /// One record of the events has a wrong checksum.
        case flippedEvent
        /// The statistics count other events than the sessions hold.
        case otherIndex
        case flippedIdentification
    }

    public struct Session: Sendable, Equatable {
        /// Mask on.
        public var start: LocalTime
        /// Whole minutes.
        public var minutes: Int
        /// Apnoeas of 12 s, spread evenly.
        public var apnoeas: Int
        public var oximeter: Bool

        public init(start: LocalTime, minutes: Int, apnoeas: Int = 0, oximeter: Bool = false) {
            self.start = start
            self.minutes = minutes
            self.apnoeas = apnoeas
            self.oximeter = oximeter
        }
    }

    public var model: Model
    /// Digits behind `SIM`.
    public var number: Int
    public var sessions: [Session]
    public var fault: Fault

    public init(model: Model, number: Int = 1, sessions: [Session], fault: Fault = .none) {
        self.model = model
        self.number = number
        self.sessions = sessions
        self.fault = fault
    }

    /// `SIM00000001`
    public var serial: String {
        let digits = String(max(0, number))
        return "SIM\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits)"
    }

    /// All files, by path.
    public func files() -> [(path: [String], bytes: [UInt8])] {
        var files: [[String]: [UInt8]] = [:]
        for (index, session) in sessions.enumerated() {
            let fault = index == 0 ? fault : .none
            for (suffix, start, bytes) in ResmedSimulatedSession(card: self, session: session, fault: fault).files() {
                let stem = "\(Self.stamp(start))_\(suffix)"
                let folder = ["DATALOG"] + (model == .s9 ? [] : [Self.folder(session.start)])
                files[folder + ["\(stem).edf"]] = bytes
                if model != .airSense11 { files[folder + ["\(stem).crc"]] = Self.checksums(bytes) }
            }
        }
        let statistics = ResmedSimulatedStatistics(card: self).bytes()
        files[["STR.edf"]] = statistics
        if model != .airSense11 { files[["STR.crc"]] = Self.checksums(statistics) }
        for (path, bytes) in identification() { files[path] = bytes }
        files[["JOURNAL.JNL"]] = Array("simulated\r\n".utf8)
        return files.sorted { $0.key.joined(separator: "/") < $1.key.joined(separator: "/") }.map { ($0.key, $0.value) }
    }

    private func identification() -> [[String]: [UInt8]] {
        var bytes: [UInt8]
        let name: String
        if model == .airSense11 {
            name = "Identification.json"
            bytes = Array(
                """
                {"FlowGenerator":{"IdentificationProfiles":{"Product":{"SerialNumber":"\(serial)","ProductCode":"39000",\
                "ProductName":"AirSense 11 AutoSet"},"Software":{"ApplicationIdentifier":"SW00000.00.0.0.0.SIMULATED"}}}}
                """.utf8)
        } else {
            name = "Identification.tgt"
            let product = model == .s9 ? "S9_AutoSet" : "AirSense_10_AutoSet"
            // Blank lines and mixed line ends, as on a real card (formats.md 3.3).
            bytes = Array(
                "#IMF 0001\n\r\n#SRN \(serial)\n\r\n#SID SX000-0000\n\r\n#PNA \(product)\n\r\n#PCD 37000\r\n".utf8)
        }
        let sum = ResmedChecksumFile.little(CRC32.ieee(bytes))
        if fault == .flippedIdentification { bytes[20] ^= 1 }
        return [[name]: bytes, ["Identification.crc"]: sum]
    }

    private static func checksums(_ bytes: [UInt8]) -> [UInt8] {
        ResmedChecksumFile.little(CRC32.ieee(bytes.prefix(256)))
            + ResmedChecksumFile.little(CRC32.ieee(bytes.dropFirst(256)))
    }

    /// `20261122_223105`
    private static func stamp(_ time: LocalTime) -> String {
        String("\(time)".filter { $0 != "-" && $0 != ":" }.map { $0 == " " ? "_" : $0 })
    }

    /// The folder of the therapy day.
    private static func folder(_ time: LocalTime) -> String {
        (LocalTime(civilSeconds: ResmedLayout.day(of: time) * 86_400)?.date ?? time.date).filter { $0 != "-" }
    }

    /// A writer with the header fields of this machine.
    func writer(_ variant: String, duration: String, start: LocalTime, signals: [ResmedWriter.Signal]) -> ResmedWriter {
        let (year, month, day) = ("\(start.year)", start.month, Self.two(start.day))
        let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        return ResmedWriter(
            variant: variant, duration: duration, date: "\(day).\(Self.two(month)).\(year.suffix(2))",
            time: "\(Self.two(start.hour)).\(Self.two(start.minute)).\(Self.two(start.second))",
            recording: "\(day)-\(months[month - 1])-\(year) X X X SRN=\(serial) MID=36 VID=39", signals: signals,
            headerChecksums: model != .s9)
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
