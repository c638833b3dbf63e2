import Clinical
import Testing

@Suite struct LoanRule {
    private let device = DeviceIdentity(
        driver: "recorder", vendor: "V", model: "M", serial: "S1", support: .verified)

    private func loan(
        _ id: Int64, _ patient: String, _ from: String, _ to: String?, serial: String? = "S1"
    ) throws -> Loan {
        Loan(
            id: id, driver: "recorder", serial: serial, visit: "v-\(patient)", patient: patient,
            from: try #require(LocalTime(from)), to: to.flatMap { LocalTime($0) }, by: "nurse", at: 0)
    }

    private func verdict(
        _ start: String?, to last: String? = nil, _ loans: [Loan], open: String? = nil
    ) -> LoanVerdict {
        Binding.byLoan(
            of: device, started: start.flatMap { LocalTime($0) }, last: last.flatMap { LocalTime($0) }, loans: loans,
            openVisitPatient: open)
    }

    @Test func insideOneLoan() throws {
        let first = try loan(1, "p1", "2026-11-20 17:00:00", "2026-11-21 08:00:00")
        let second = try loan(2, "p2", "2026-11-21 17:00:00", nil)
        #expect(verdict("2026-11-20 23:00:00", [first, second], open: "p3") == .lent(first))
        #expect(verdict("2026-11-20 17:00:00", [first, second]) == .lent(first), "from its first second")
        #expect(verdict("2026-11-21 08:00:00", [first, second]) == .lent(first), "to its last")
        #expect(verdict("2027-01-01 00:00:00", [first, second], open: "p1") == .lent(second), "it is still out")
    }

    @Test func outsideOfAll() throws {
        let first = try loan(1, "p1", "2026-11-20 17:00:00", "2026-11-21 08:00:00")
        for time in ["2026-11-20 16:59:59", "2026-11-21 08:00:01"] {
            #expect(verdict(time, [first], open: "p2") == .doubt(.outsideLoans))
            #expect(verdict(time, [first]) == .doubt(.outsideLoans))
            #expect(verdict(time, [first], open: "p1") == .unconcerned, "nobody else ever had it")
        }
    }

    @Test func whatCannotBeTold() throws {
        let first = try loan(1, "p1", "2026-11-20 17:00:00", nil)
        let second = try loan(2, "p2", "2026-11-21 17:00:00", nil)
        #expect(verdict("2026-11-20 18:00:00", [first, second]) == .lent(first))
        #expect(verdict("2026-11-22 01:00:00", [first, second]) == .doubt(.overlappingLoans))
        #expect(verdict(nil, [first]) == .doubt(.startUnknown))
    }

    @Test func measurementsOfSeveralLoans() throws {
        let first = try loan(1, "p1", "2026-11-20 17:00:00", "2026-11-22 08:00:00")
        let second = try loan(2, "p2", "2026-11-23 17:00:00", "2026-11-25 08:00:00")
        let both = [first, second]
        #expect(verdict("2026-11-20 18:00:00", to: "2026-11-22 07:00:00", both, open: "p3") == .lent(first))
        #expect(verdict("2026-11-20 18:00:00", to: "2026-11-24 07:00:00", both, open: "p2") == .doubt(.acrossLoans))
        #expect(
            verdict("2026-11-20 18:00:00", to: "2026-11-22 09:00:00", both) == .doubt(.acrossLoans), "some after it")
        #expect(
            verdict("2026-11-19 18:00:00", to: "2026-11-21 09:00:00", both) == .doubt(.acrossLoans), "some before it")
        #expect(verdict("2026-11-19 18:00:00", to: "2026-11-26 09:00:00", both, open: "p1") == .doubt(.acrossLoans))
        #expect(verdict("2026-11-26 18:00:00", to: "2026-11-27 09:00:00", both, open: "p1") == .doubt(.outsideLoans))
        #expect(verdict("2026-11-19 18:00:00", to: "2026-11-21 09:00:00", [first], open: "p1") == .unconcerned)
        #expect(
            verdict("2026-11-24 18:00:00", to: "2026-11-23 09:00:00", both) == .lent(second), "never before its start")
    }

    @Test func otherDevicesLoansDoNotCount() throws {
        let other = try loan(1, "p1", "2026-11-20 17:00:00", nil, serial: "S2")
        let nameless = try loan(2, "p1", "2026-11-20 17:00:00", nil, serial: nil)
        #expect(verdict("2026-11-20 18:00:00", [other, nameless]) == .unconcerned)
        var unnamed = device
        unnamed.serial = nil
        #expect(
            Binding.byLoan(
                of: unnamed, started: LocalTime("2026-11-20 18:00:00"), loans: [other, nameless],
                openVisitPatient: "p1") == .doubt(.deviceWithoutSerial))
    }

    @Test func overlaps() throws {
        let one = try loan(1, "p1", "2026-11-20 17:00:00", "2026-11-21 08:00:00")
        let touching = try loan(2, "p1", "2026-11-21 08:00:00", nil)
        let later = try loan(3, "p1", "2026-11-21 08:00:01", nil)
        #expect(one.overlaps(touching) && touching.overlaps(one))
        #expect(!one.overlaps(later) && !later.overlaps(one))
        #expect(touching.overlaps(later))
    }
}
