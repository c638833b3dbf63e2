import Clinical
import Wire

struct PhdcSegmentKey: Sendable, Hashable {
    var store: UInt16
    var instance: UInt16
}

/// A stored segment and how its entries are laid out (phdc.md 10.1).
struct PhdcSegment: Sendable, Equatable {
    struct Element: Sendable, Equatable {
        var kind: UInt16
        var type: PhdcCode
        var handle: UInt16
        var map: [PhdcMapEntry]

        var length: Int { map.reduce(0) { $0 + Int($1.length) } }
    }

    let key: PhdcSegmentKey
    let attributes: [PhdcAttribute]
    /// Which times stand in front of each entry.
    let header: UInt16
    /// Nil when the layout can't be read: entries are kept as bytes.
    let elements: [Element]?
    let person: UInt16?
    /// The start as the device sent it.
    let rawStart: [UInt8]?
    let start: LocalTime?
    let end: LocalTime?
    /// Seconds to be added to the segment's dates, whose clock was set since: Date-and-Time-Adjustment (phdc.md 3.3, 10.2).
    let adjustment: Int
    /// Entries.
    let usage: UInt32
    /// Ticks between two entries; nil when they are episodic.
    let period: UInt32?
    /// Nanoseconds for the whole transfer; nil when the device does not say.
    let timeout: UInt64?

    init(_ info: PhdcSegmentInfo, of store: UInt16, _ storeAttributes: [PhdcAttribute]) {
        key = PhdcSegmentKey(store: store, instance: info.instance)
        attributes = info.attributes
        var header: UInt16 = 0
        var elements: [Element]?
        if let map = info.attributes[id: PhdcAttributeID.segmentMap] {
            var reader = ByteReader(map.value)
            if let bits: UInt16 = try? reader.bigEndian() {
                header = bits
                elements = try? reader.sequence { element throws(WireError) in
                    Element(
                        kind: try element.bigEndian(),
                        type: PhdcCode(try element.bigEndian(), try element.bigEndian()),
                        handle: try element.bigEndian(), map: try element.valueMap())
                }
            }
        }
        self.header = header
        // With any other bit the place of the values is unknowable.
        self.elements = header & 0x0FFF == 0 && reads(elements) ? elements : nil
        person = info.attributes[id: PhdcAttributeID.segmentPerson]?.u16
        let absolute = info.attributes[id: PhdcAttributeID.segmentStart]?.value
        let offset = info.attributes[id: PhdcAttributeID.segmentStartBaseOffset]?.value
        rawStart = absolute ?? offset
        var seconds = 0
        if let adjust = info.attributes[id: PhdcAttributeID.timeAdjustment]?.value, adjust.count == 6 {
            let bits = adjust.reduce(0) { $0 << 8 | Int($1) }
            // 48 bits with a sign, hundredths of a second.
            let hundredths = bits >= 1 << 47 ? bits - 1 << 48 : bits
            seconds = hundredths / 100
        }
        adjustment = seconds
        let begin = absolute.flatMap(PhdcClock.absolute) ?? offset.flatMap(PhdcClock.baseOffset)
        start = begin?.adding(seconds: seconds)
        let last =
            info.attributes[id: PhdcAttributeID.segmentEnd].flatMap { PhdcClock.absolute($0.value) }
            ?? info.attributes[id: PhdcAttributeID.segmentEndBaseOffset].flatMap { PhdcClock.baseOffset($0.value) }
        end = last?.adding(seconds: seconds)
        usage = info.attributes[id: PhdcAttributeID.segmentUsage]?.u32 ?? 0
        let own = info.attributes[id: PhdcAttributeID.samplePeriod] ?? storeAttributes[id: PhdcAttributeID.samplePeriod]
        period = own?.u32.flatMap { $0 == 0 || $0 == PhdcClock.unsupported ? nil : $0 }
        timeout = info.attributes[id: PhdcAttributeID.transferTimeout]?.u32.map { UInt64($0) * 125_000 }

        func reads(_ elements: [Element]?) -> Bool { elements.map { $0.contains { $0.length > 0 } } ?? false }
    }

    /// Bytes of the times in front of an entry.
    var headerLength: Int {
        (header & 0x8000 != 0 ? 8 : 0) + (header & 0x4000 != 0 ? 4 : 0) + (header & 0x2000 != 0 ? 8 : 0)
            + (header & 0x1000 != 0 ? 8 : 0)
    }

    /// Nil when the layout isn't known.
    var entryLength: Int? { elements.map { $0.reduce(headerLength) { $0 + $1.length } } }

    /// By the stamp of an entry or of a value in it. In a segment that began more than a turn of the counter before, a count is several
    /// dates; it is the latest one that is said.
    func time(_ stamp: PhdcObservation.Stamp, _ nameplate: PhdcNameplate, at now: UInt64) -> PhdcReadingTime {
        var time = PhdcReadingTime(stamp, nameplate, at: now, adjustment: adjustment)
        let turn = (1 << 32) / PhdcClock.ticksPerSecond
        if case .relative = stamp, let start, let at = time.at, at.civilSeconds - start.civilSeconds > turn,
            !time.flags.contains(PhdcReadingTime.isAmbiguous)
        {
            time.flags.append(PhdcReadingTime.isAmbiguous)
        }
        return time
    }

    /// When entry `index` was measured.
    func time(
        of index: UInt32, _ header: inout ByteReader, _ nameplate: PhdcNameplate, at now: UInt64
    ) throws(WireError) -> PhdcReadingTime {
        var stamp: PhdcObservation.Stamp?
        if self.header & 0x8000 != 0 { stamp = .absolute(Array(try header.bytes(8))) }
        if self.header & 0x4000 != 0 {
            let ticks: UInt32 = try header.bigEndian()
            if stamp == nil { stamp = .relative(ticks) }
        }
        if self.header & 0x2000 != 0 {
            let microseconds: UInt64 = try header.bigEndian()
            if stamp == nil { stamp = .highResolution(microseconds) }
        }
        if self.header & 0x1000 != 0 {
            let bytes = Array(try header.bytes(8))
            if stamp == nil { stamp = .baseOffset(bytes) }
        }
        if let stamp { return time(stamp, nameplate, at: now) }
        guard let start, let period else { return PhdcReadingTime(at: nil, raw: nil) }
        // Both are the device's word.
        let (ticks, overflow) = Int(index).multipliedReportingOverflow(by: Int(period))
        guard !overflow else { return PhdcReadingTime(at: nil, raw: nil) }
        let seconds = ticks / PhdcClock.ticksPerSecond
        return PhdcReadingTime(
            at: start.adding(seconds: seconds), raw: rawStart.map { "\(PhdcClock.text($0)) + \(seconds) s" })
    }
}
