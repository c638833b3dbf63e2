import Clinical
import Testing

@Suite struct CivilTime {
    @Test func knownDays() throws {
        #expect(try #require(LocalTime("1970-01-01 00:00:00")).civilSeconds == 0)
        #expect(try #require(LocalTime("2026-11-22 23:05:09")).civilSeconds == 1_795_388_709)
        #expect(LocalTime(civilSeconds: -1) == nil)
        #expect(LocalTime(civilSeconds: 4_102_444_800) == nil)
        #expect(LocalTime(civilSeconds: 4_102_444_799)?.description == "2099-12-31 23:59:59")
    }

    @Test func everyDayThereAndBack() {
        for day in stride(from: 0, to: 47_482, by: 1) {
            let time = LocalTime(civilSeconds: day * 86_400 + day % 86_400)
            #expect(time?.civilSeconds == day * 86_400 + day % 86_400)
        }
    }

    @Test func paris() throws {
        func offset(_ utc: String) throws -> Int { ZoneRule.paris.offset(try #require(LocalTime(utc)).civilSeconds) }
        #expect(try offset("2026-03-29 00:59:59") == 3600)
        #expect(try offset("2026-03-29 01:00:00") == 7200)
        #expect(try offset("2026-10-25 00:59:59") == 7200)
        #expect(try offset("2026-10-25 01:00:00") == 3600)
        #expect(try offset("2024-03-31 01:00:00") == 7200)
        #expect(try offset("2027-10-31 00:59:59") == 7200)
        #expect(try offset("2025-12-31 23:59:59") == 3600)
    }

    @Test func instants() throws {
        func count(_ local: String) throws -> Int { ZoneRule.paris.instants(of: try #require(LocalTime(local))).count }
        #expect(try count("2026-03-29 01:59:59") == 1)
        #expect(try count("2026-03-29 02:00:00") == 0)
        #expect(try count("2026-03-29 02:59:59") == 0)
        #expect(try count("2026-03-29 03:00:00") == 1)
        #expect(try count("2026-10-25 01:59:59") == 1)
        #expect(try count("2026-10-25 02:00:00") == 2)
        #expect(try count("2026-10-25 02:59:59") == 2)
        #expect(try count("2026-10-25 03:00:00") == 1)
    }
}

@Suite struct CorrectedStarts {
    /// Facts as they were when a device was read at a moment, given in UTC.
    private func facts(
        start: String?, now: String? = nil, readAt utc: String, source: StartSource = .device,
        synchronised: Bool? = true
    ) throws -> ClockFacts {
        ClockFacts(
            deviceStart: start.flatMap { LocalTime($0) },
            hostWall: Int64(try #require(LocalTime(utc)).civilSeconds) * 1000, hostMonotonic: 1, bootID: "b",
            hostSynchronised: synchronised, source: source, deviceNow: now.flatMap { LocalTime($0) })
    }

    @Test func aClockThatIsTwoYearsBehind() throws {
        let facts = try facts(
            start: "2024-11-20 22:00:00", now: "2024-11-22 08:00:00", readAt: "2026-11-22 08:30:00")
        let start = try #require(facts.correctedStart(zone: .paris))
        #expect(start.local.description == "2026-11-20 23:30:00")
        #expect(start.correction == 730 * 86_400 + 5400)
        #expect(start.remarks == [])
        #expect(facts.deviceStart?.description == "2024-11-20 22:00:00", "the raw time stays")
    }

    /// Recorded in summer time, read in winter time, by a device that knows of neither: 23:30 it was.
    @Test func aSwitchBetweenNightAndReading() throws {
        let facts = try facts(
            start: "2026-10-22 23:30:00", now: "2026-10-27 11:00:00", readAt: "2026-10-27 09:00:00")
        let start = try #require(facts.correctedStart(zone: .paris))
        #expect(start.local.description == "2026-10-22 23:30:00")
        #expect(start.correction == 0)
    }

    @Test func theNightOfTheSwitch() throws {
        let autumn = try facts(
            start: "2026-10-24 23:00:00", now: "2026-10-25 10:00:00", readAt: "2026-10-25 08:00:00")
        #expect(autumn.correctedStart(lasting: 8 * 3600, zone: .paris)?.remarks == [.switchInside])
        #expect(autumn.correctedStart(lasting: 2 * 3600, zone: .paris)?.remarks == [])
        let spring = try facts(
            start: "2026-03-28 23:00:00", now: "2026-03-29 08:00:00", readAt: "2026-03-29 07:00:00")
        #expect(spring.correctedStart(lasting: 8 * 3600, zone: .paris)?.remarks == [.switchInside])
    }

    @Test func theRepeatedHour() throws {
        let uncompared = try facts(start: "2026-10-25 02:30:00", readAt: "2026-10-25 08:00:00", source: .file)
        let start = try #require(uncompared.correctedStart(zone: .paris))
        #expect(start.remarks == [.uncompared, .repeatedHour])
        #expect(LocalTime(civilSeconds: start.instant)?.description == "2026-10-25 00:30:00", "the earlier one")
        // Compared, the instant is certain although its local name isn't.
        let compared = try facts(
            start: "2026-10-25 03:30:00", now: "2026-10-25 10:00:00", readAt: "2026-10-25 08:00:00")
        let second = try #require(compared.correctedStart(zone: .paris))
        #expect(second.local.description == "2026-10-25 02:30:00")
        #expect(LocalTime(civilSeconds: second.instant)?.description == "2026-10-25 01:30:00", "the later one")
        #expect(second.remarks == [.repeatedHour])
    }

    @Test func theMissingHour() throws {
        let facts = try facts(start: "2026-03-29 02:30:00", readAt: "2026-03-29 07:00:00")
        let start = try #require(facts.correctedStart(zone: .paris))
        #expect(start.remarks == [.uncompared, .missingHour])
        #expect(start.local.description == "2026-03-29 02:30:00", "as it was said")
        #expect(LocalTime(civilSeconds: start.instant)?.description == "2026-03-29 01:30:00")
    }

    @Test func aClockThatWasSetMeanwhile() throws {
        let facts = try facts(
            start: "2027-01-01 22:00:00", now: "2026-11-22 09:00:00", readAt: "2026-11-22 08:00:00")
        let start = try #require(facts.correctedStart(zone: .paris))
        #expect(start.remarks == [.uncompared, .deviceClockWasSet])
        #expect(start.correction == nil)
    }

    @Test func otherSources() throws {
        let host = try facts(start: nil, readAt: "2026-07-01 08:00:00", source: .host, synchronised: false)
        #expect(host.correctedStart(zone: .paris)?.local.description == "2026-07-01 10:00:00")
        #expect(host.correctedStart(zone: .paris)?.remarks == [.hostNotSynchronised])
        let person = try facts(start: "2026-11-21 22:10:00", readAt: "2026-11-22 08:00:00", source: .person)
        #expect(person.correctedStart(zone: .paris)?.remarks == [])
        #expect(try facts(start: nil, readAt: "2026-11-22 08:00:00").correctedStart(zone: .paris) == nil)
        let unknown = try facts(start: nil, readAt: "2026-11-22 08:00:00", source: .unknown)
        #expect(unknown.correctedStart(zone: .paris) == nil)
    }

    @Test func absurdLengths() throws {
        let host = try facts(start: nil, readAt: "2026-07-01 08:00:00", source: .host)
        for seconds in [Double.nan, .infinity, -.infinity, 1e300] {
            #expect(host.correctedStart(lasting: seconds, zone: .paris)?.remarks == [])
        }
    }
}

@Suite struct HostClocks {
    private let before = HostReading(
        wall: 1_790_000_000_000, monotonic: 5_000_000_000, boottime: 6_000_000_000, bootID: "b")

    private func after(wall: Int64, ran: UInt64, lived: UInt64?, boot: String = "b") -> [HostEvent] {
        HostReading(
            wall: before.wall + wall, monotonic: before.monotonic + ran * 1_000_000,
            boottime: lived.map { 6_000_000_000 + $0 * 1_000_000 }, bootID: boot
        ).events(since: before)
    }

    @Test func steady() {
        #expect(after(wall: 60_000, ran: 60_000, lived: 60_000) == [])
        #expect(after(wall: 61_500, ran: 60_000, lived: 60_000) == [], "within what nobody can tell")
        #expect(after(wall: 86_430_000, ran: 86_400_000, lived: 86_400_000) == [], "being synchronised")
    }

    @Test func suspended() {
        #expect(after(wall: 3_660_000, ran: 60_000, lived: 3_660_000) == [.suspended(3_600_000)])
        #expect(after(wall: 3_660_000, ran: 60_000, lived: nil) == [.suspendedOrWallSet(3_600_000)])
    }

    @Test func jumped() {
        #expect(after(wall: 3_660_000, ran: 60_000, lived: 60_000) == [.wallSet(3_600_000)])
        #expect(after(wall: -3_540_000, ran: 60_000, lived: 60_000) == [.wallSet(-3_600_000)])
        #expect(after(wall: -3_540_000, ran: 60_000, lived: nil) == [.wallSet(-3_600_000)])
        #expect(
            after(wall: 10_000_000, ran: 60_000, lived: 3_660_000) == [.suspended(3_600_000), .wallSet(6_340_000)])
    }

    @Test func rebooted() {
        #expect(after(wall: 60_000, ran: 60_000, lived: 60_000, boot: "c") == [.rebooted])
        let earlier = HostReading(wall: 0, monotonic: 0, bootID: "b")
        #expect(earlier.events(since: before) == [.rebooted])
    }

    @Test func extremes() {
        let lowest = HostReading(wall: .min, monotonic: 0, bootID: "b")
        let highest = HostReading(wall: .max, monotonic: .max, bootID: "b")
        #expect(highest.events(since: lowest) == [.wallSet(.max)])
    }
}
