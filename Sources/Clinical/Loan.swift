/// A device handed to a patient for a period: what it records in that time is that patient's, whoever's visit is open
/// when it comes back.
public struct Loan: Sendable, Equatable, Codable, Identifiable {
    public var id: Int64
    /// `DeviceIdentity.driver`
    public var driver: String
    /// `DeviceIdentity.serial`; nil for a device that doesn't say it (its nights are then never bound by themselves).
    public var serial: String?
    /// The visit whose patient it is lent to.
    public var visit: String
    /// `Patient.id` of that visit.
    public var patient: String
    /// From when on, on the clock on the wall.
    public var from: LocalTime
    /// Until when, inclusive; nil while it is lent.
    public var to: LocalTime?
    /// Who gave it out.
    public var by: String
    /// When that was written down: Unix time in milliseconds.
    public var at: Int64
    /// Who took it back.
    public var returnedBy: String?
    public var returnedAt: Int64?

    public init(
        id: Int64, driver: String, serial: String?, visit: String, patient: String, from: LocalTime,
        to: LocalTime? = nil, by: String, at: Int64, returnedBy: String? = nil, returnedAt: Int64? = nil
    ) {
        self.id = id
        self.driver = driver
        self.serial = serial
        self.visit = visit
        self.patient = patient
        self.from = from
        self.to = to
        self.by = by
        self.at = at
        self.returnedBy = returnedBy
        self.returnedAt = returnedAt
    }

    /// It is of this device, as far as can be known: one without a serial may be any of its kind.
    public func concerns(_ device: DeviceIdentity) -> Bool {
        driver == device.driver && (device.serial == nil || serial == device.serial)
    }

    public func covers(_ time: LocalTime) -> Bool { from <= time && to.map { time <= $0 } ?? true }

    /// - Parameter stretch: seconds on the clock on the wall, as of `LocalTime.civilSeconds`.
    func touches(_ stretch: ClosedRange<Int>) -> Bool {
        from.civilSeconds <= stretch.upperBound && to.map { stretch.lowerBound <= $0.civilSeconds } ?? true
    }

    /// Whether there is a moment at which both hold.
    public func overlaps(_ other: Loan) -> Bool {
        (to.map { other.from <= $0 } ?? true) && (other.to.map { from <= $0 } ?? true)
    }
}

/// Why a recording is nobody's yet, for a program to read; the words for people are the agent's.
public enum UnattributedReason: String, Sendable, Codable, CaseIterable {
    /// No visit was open.
    case noVisit
    /// The visit that was named was not open at that moment.
    case visitNotOpen
    /// Identities contradict each other; see the hold.
    case contradiction
    /// Another file with the same object identity and other bytes is here, and no visit was open.
    case objectIdentity
    /// It began while two loans of its device ran.
    case overlappingLoans
    /// Its device was lent, and it began outside of every loan.
    case outsideLoans
    /// Its measurements were made in several loans of its device, or only some of them in one.
    case acrossLoans
    /// It was made while another patient's visit was open, or may have been by a clock that can't be asked, and nothing says that its
    /// device is this patient's own.
    case otherVisit
    /// A therapy machine stands by one patient's bed, and what it recorded last is another patient's: a card in the wrong bag, or the
    /// machine has a new owner.
    case otherPatientsMachine
    /// Its device was lent, and nobody knows when it began.
    case startUnknown
    /// Its device was lent, and doesn't tell itself apart from others of its kind.
    case deviceWithoutSerial
    /// It is out of a memory in which several people's are, or may be: neither a visit nor a loan says whose.
    case sharedMemory
}

/// What the loans of a device say about a recording.
public enum LoanVerdict: Sendable, Equatable {
    /// Nothing: the visit that is open counts.
    case unconcerned
    /// It is this loan's patient's.
    case lent(Loan)
    /// It can't be said without guessing.
    case doubt(UnattributedReason)
}

extension Binding {
    /// Whose a recording is that was stored while nobody watched. A loan wins over the visit that is open when the
    /// device comes back; what is not clear is nobody's. A live capture is never asked about: its patient is there.
    /// - Parameters:
    ///   - start: the corrected start; nil when it isn't known.
    ///   - last: of several separate measurements, when the last one was made, corrected likewise.
    ///   - isUncompared: the device's clock couldn't be asked, so that it may also have been before or after.
    ///   - openVisitPatient: `Patient.id` of the visit that would be taken otherwise.
    public static func byLoan(
        of device: DeviceIdentity, started start: LocalTime?, last: LocalTime? = nil, isUncompared: Bool = false,
        loans: [Loan], openVisitPatient: String?
    ) -> LoanVerdict {
        let loans = loans.filter { $0.concerns(device) }
        guard !loans.isEmpty else { return .unconcerned }
        guard device.serial != nil else { return .doubt(.deviceWithoutSerial) }
        guard let start else { return .doubt(.startUnknown) }
        let inside = loans.filter { $0.covers(start) }
        if inside.count > 1 { return .doubt(.overlappingLoans) }
        let end = max(start, last ?? start)
        let touched = loans.filter { $0.from <= end && ($0.to.map { start <= $0 } ?? true) }
        if let loan = inside.first {
            let others = isUncompared ? loans.filter { $0.patient != loan.patient } : []
            let around = UncomparedClock.stretches(around: start.civilSeconds...end.civilSeconds)
            let isClear = !others.contains { other in around.contains { other.touches($0) } }
            return touched.count == 1 && loan.covers(end) && isClear ? .lent(loan) : .doubt(.acrossLoans)
        }
        guard touched.allSatisfy({ $0.patient == openVisitPatient }) else { return .doubt(.acrossLoans) }
        // Outside of all of them: only clear when nobody but the patient of the open visit ever had it.
        let isOnlyTheirs = loans.allSatisfy { $0.patient == openVisitPatient }
        return isOnlyTheirs ? .unconcerned : .doubt(.outsideLoans)
    }
}
