import Clinical
import Wire

/// What the device says of itself: in the association request, then in the attributes of its MDS (phdc.md 7.4).
struct PhdcNameplate: Sendable, Equatable {
    /// EUI-64.
    private(set) var systemID: [UInt8]?
    private(set) var manufacturer: String?
    private(set) var model: String?
    private(set) var serial: String?
    private(set) var firmware: String?
    /// What it is, by its specialisations.
    private(set) var specialisations: [UInt16] = []
    /// The device's clocks as they were read together; turns relative stamps into dates, or, where the device has no calendar, into a
    /// time before the reading.
    private(set) var dateAndTime: LocalTime?
    private(set) var ticks: UInt32?
    private(set) var microseconds: UInt64?
    /// When they were read, on the host's monotonic clock.
    private(set) var clocksReadAt: UInt64?
    /// Attributes that nobody reads here, as the device sent them.
    private(set) var others: [PhdcAttribute] = []

    var isEmpty: Bool { systemID == nil && model == nil && serial == nil }

    mutating func take(systemID: [UInt8]) {
        guard systemID.count == 8 else { return }
        self.systemID = systemID
    }

    mutating func take(_ attributes: [PhdcAttribute], at now: UInt64) {
        for attribute in attributes { take(attribute) }
        let clocks = [
            PhdcAttributeID.dateAndTime, PhdcAttributeID.dateAndTimeBaseOffset, PhdcAttributeID.relativeTime,
            PhdcAttributeID.highResolutionTime,
        ]
        guard attributes.contains(where: { clocks.contains($0.id) }) else { return }
        clocksReadAt = now
        // A counter that was read another time is no pair of these.
        if attributes[id: PhdcAttributeID.relativeTime] == nil { ticks = nil }
        if attributes[id: PhdcAttributeID.highResolutionTime] == nil { microseconds = nil }
    }

    private mutating func take(_ attribute: PhdcAttribute) {
        var reader = ByteReader(attribute.value)
        switch attribute.id {
        case PhdcAttributeID.systemID:
            if let id = try? reader.octets(), id.count == 8 { systemID = Array(id) }
        case PhdcAttributeID.model:
            manufacturer = (try? reader.octets()).flatMap(phdcText) ?? manufacturer
            model = (try? reader.octets()).flatMap(phdcText) ?? model
        case PhdcAttributeID.production: takeProduction(&reader)
        case PhdcAttributeID.systemSpecifications:
            specialisations =
                (try? reader.sequence { element throws(WireError) in
                    let code: UInt16 = try element.bigEndian()
                    try element.skip(2)
                    return code
                }) ?? []
        case PhdcAttributeID.dateAndTime: dateAndTime = PhdcClock.absolute(attribute.value) ?? dateAndTime
        case PhdcAttributeID.dateAndTimeBaseOffset: dateAndTime = PhdcClock.baseOffset(attribute.value) ?? dateAndTime
        case PhdcAttributeID.relativeTime: ticks = attribute.u32.flatMap { $0 == PhdcClock.unsupported ? nil : $0 }
        case PhdcAttributeID.highResolutionTime:
            microseconds =
                attribute.value.count == 8 ? attribute.value.reduce(0) { $0 << 8 | UInt64($1) } : microseconds
        case PhdcAttributeID.configurationID: break
        default: if others.count < 64 { others.append(attribute) }
        }
    }

    private mutating func takeProduction(_ reader: inout ByteReader) {
        let parts =
            (try? reader.sequence { element throws(WireError) -> (kind: UInt16, bytes: [UInt8]) in
                let kind: UInt16 = try element.bigEndian()
                try element.skip(2)
                return (kind, Array(try element.octets()))
            }) ?? []
        for (kind, bytes) in parts {
            // Some write a label in front: `serial-number: …`
            guard var text = phdcText(bytes[...]) else { continue }
            if let label = text.range(of: ": ") { text = String(text[label.upperBound...]) }
            switch kind {
            case 1: serial = text
            case 5: firmware = text
            case 4: firmware = firmware ?? text
            default: break
            }
        }
    }

    /// The device's clock, when these attributes are a reading of it.
    func clock(in attributes: [PhdcAttribute]) -> LocalTime? {
        let clocks = [PhdcAttributeID.dateAndTime, PhdcAttributeID.dateAndTimeBaseOffset]
        return attributes.contains { clocks.contains($0.id) } ? dateAndTime : nil
    }

    /// `8877665544332211`
    var systemName: String? { systemID.map { phdcHexadecimal($0).filter { $0 != " " } } }

    /// Nil as long as the device has said nothing of itself.
    var identity: DeviceIdentity? {
        guard !isEmpty else { return nil }
        let kind = specialisations.lazy.compactMap(PhdcNomenclature.specialisation).first
        return DeviceIdentity(
            driver: Phdc.name, vendor: manufacturer ?? "", model: model ?? kind ?? "11073 device",
            serial: serial ?? systemName, firmware: firmware, support: Phdc.support)
    }

    /// Seconds that a clock may be ahead of another one: many count minutes.
    static let clockGrain = 60

    /// Seconds between a relative stamp and the moment at which the counter was read; below 0 what was measured since.
    ///
    /// The counter rolls over after six days, and what is reported is of the past: only what can have been since the counter was read
    /// is taken for later than that.
    func age(ofTicks stamp: UInt32, at now: UInt64) -> Int? {
        guard let ticks else { return nil }
        let back = Int(ticks &- stamp)
        let ahead = (1 << 32) - back
        let distance = ahead <= most(since: now, perSecond: PhdcClock.ticksPerSecond) ? -ahead : back
        return Self.seconds(distance, PhdcClock.ticksPerSecond)
    }

    /// The same for a counter of microseconds, which never rolls over. Nil also for what it has not counted up to yet: it was set back.
    func age(ofMicroseconds stamp: UInt64, at now: UInt64) -> Int? {
        guard let microseconds else { return nil }
        let isLater = stamp > microseconds
        guard let distance = Int(exactly: isLater ? stamp - microseconds : microseconds - stamp),
            !isLater || distance <= most(since: now, perSecond: 1_000_000)
        else { return nil }
        return Self.seconds(isLater ? -distance : distance, 1_000_000)
    }

    /// The date of what was so many seconds before the clocks were read.
    func date(ofAge seconds: Int) -> LocalTime? { dateAndTime?.adding(seconds: -seconds) }

    /// Units that a counter can be ahead of what was read of it.
    private func most(since now: UInt64, perSecond: Int) -> Int {
        let read = clocksReadAt ?? now
        return (Int((now - min(read, now)) / 1_000_000_000) + Self.clockGrain) * perSecond
    }

    /// Whole seconds, away from now.
    private static func seconds(_ distance: Int, _ perSecond: Int) -> Int {
        distance <= 0 ? distance / perSecond : (distance - 1) / perSecond + 1
    }
}

extension String {
    /// The first occurrence; this floor has no Foundation.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
