public import Clinical
import Wire

/// Devices to play, one for each specialisation (phdc.md 15.2).
extension PhdcSimulator.Configuration {
    /// The names that `named` knows.
    public static let names = [
        "thermometer", "blood-pressure", "scale", "oximeter", "oximeter-spot", "ecg", "ecg-stored", "sabte", "glucose",
        "oximeter-stored",
    ]

    /// A well-behaved device of a kind; nil for an unknown name. Its clock says `start`.
    public static func named(_ name: String, at start: LocalTime) -> PhdcSimulator.Configuration? {
        var device: Self
        switch name {
        case "thermometer": device = thermometer(at: start)
        case "blood-pressure": device = bloodPressure(at: start)
        case "scale": device = scale(at: start)
        case "oximeter": device = oximeter()
        case "oximeter-spot": device = spotOximeter(at: start)
        case "ecg": device = ecg(at: start, stored: false)
        case "ecg-stored": device = ecg(at: start, stored: true)
        case "sabte": device = therapy(at: start)
        case "glucose": device = glucose(at: start)
        case "oximeter-stored": device = storedOximeter(at: start)
        default: return nil
        }
        // Whoever stamps with dates says what its clock shows (phdc.md 7.4).
        if device.attributes[id: PhdcAttributeID.dateAndTime] == nil {
            device.attributes.append(PhdcAttribute(PhdcAttributeID.dateAndTime, PhdcClock.absolute(from: start)))
        }
        return device
    }

    private static func standard(_ id: UInt16) -> PhdcConfiguration {
        PhdcConfiguration.standard(id) ?? PhdcConfiguration(id: id, objects: [])
    }

    static func fixed(_ handle: UInt16, _ data: [UInt8], person: UInt16? = nil) -> PhdcScanReport.Item {
        PhdcScanReport.Item(person: person, content: .fixed(handle: handle, data))
    }

    static func float(_ mantissa: Int, _ exponent: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(PhdcNumber(mantissa: mantissa, exponent: exponent).float)
        return writer.bytes
    }

    static func sfloat(_ mantissa: Int, _ exponent: Int = 0) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(PhdcNumber(mantissa: mantissa, exponent: exponent).sfloat)
        return writer.bytes
    }

    static func thermometer(at start: LocalTime) -> Self {
        var device = Self(standard(0x0320))
        device.model = "Thermometer"
        device.specialisation = 0x1008
        device.reports = [
            PhdcSimulator.Report(
                items: [fixed(1, float(372, -1) + PhdcClock.absolute(from: start))], after: 0.5)
        ]
        device.releasesAfter = 3
        return device
    }

    /// Two users of one device.
    static func bloodPressure(at start: LocalTime) -> Self {
        var device = Self(standard(0x02BC))
        device.model = "Blood pressure monitor"
        device.specialisation = 0x1007
        // Within a minute: of what its clock has not reached, nobody could say when it was.
        func measurement(_ person: UInt16, _ values: [Int], _ seconds: Int) -> [PhdcScanReport.Item] {
            let stamp = PhdcClock.absolute(from: start.adding(seconds: seconds) ?? start)
            return [
                fixed(1, [0, 3, 0, 6] + values[..<3].flatMap { sfloat($0) } + stamp, person: person),
                fixed(2, sfloat(values[3] * 10, -1) + stamp, person: person),
            ]
        }
        device.reports = [
            PhdcSimulator.Report(
                items: measurement(1, [132, 84, 100, 71], 0) + measurement(2, [118, 76, 90, 64], 5), after: 0.5),
            PhdcSimulator.Report(items: measurement(1, [129, 82, 98, 70], 10), after: 1),
        ]
        device.releasesAfter = 4
        return device
    }

    /// Announces the mass only, as some do, and sends the body mass index as well.
    static func scale(at start: LocalTime) -> Self {
        var device = Self(standard(0x05DC))
        device.model = "Scale"
        device.specialisation = 0x100F
        let stamp = PhdcClock.absolute(from: start)
        device.reports = [
            PhdcSimulator.Report(
                items: [fixed(1, float(624, -1) + stamp), fixed(3, float(216, -1) + stamp)], after: 0.5)
        ]
        return device
    }

    static func oximeter() -> Self {
        var device = Self(standard(0x0190))
        device.model = "Oximeter"
        device.specialisation = 0x1004
        device.reports = (0..<30).map { second in
            let pulse = second < 2 ? [0x07, 0xFF] : sfloat(64 + second % 5)
            return PhdcSimulator.Report(
                items: [fixed(1, sfloat(965 + second % 3 * 5, -1)), fixed(10, pulse)], after: Double(second) + 0.5)
        }
        return device
    }

    /// Configuration 0191: single values with their time.
    static func spotOximeter(at start: LocalTime) -> Self {
        var device = Self(standard(0x0191))
        device.model = "Spot oximeter"
        device.specialisation = 0x1004
        device.reports = (0..<3).map { index in
            let stamp = PhdcClock.absolute(from: start.adding(seconds: index * 20) ?? start)
            return PhdcSimulator.Report(
                items: [fixed(1, sfloat(970 - index * 5, -1) + stamp), fixed(10, sfloat(66 + index) + stamp)],
                after: 0.5 + Double(index) * 0.2)
        }
        device.releasesAfter = 3
        return device
    }

    /// A store with one session of ten minutes, a value of each object each second; the finger is out for the first two.
    static func storedOximeter(at start: LocalTime) -> Self {
        let map = [(PhdcAttributeID.basicValue, UInt16(2))]
        let elements = [(UInt32(0x0002_4BB8), UInt16(1)), (0x0002_481A, 10)]
            .map { (kind: PhdcClass.numeric, code: $0.0, handle: $0.1, map: map) }
        var device = Self(
            PhdcConfiguration(id: 0x4003, objects: standard(0x0190).objects + [store(2, period: 8000)]))
        device.model = "Oximeter with a memory"
        device.specialisation = 0x1004
        let entries = (0..<600).map { second in
            second < 2 ? [0x07, 0xFF, 0x07, 0xFF] : sfloat(965 - second % 7 * 5, -1) + sfloat(58 + second % 5)
        }
        device.stores[2] = [segment(0, elements, entries, header: 0, start: start, period: 8000, portion: 100)]
        return device
    }

    /// Leads through a periodic scanner; a stored episode of one lead where wanted.
    /// - Parameters:
    ///   - leads: by their number in the nomenclature (phdc.md 13.3).
    ///   - period: of a sample, in 125 µs.
    ///   - count: samples in a report.
    static func ecg(
        at start: LocalTime, stored: Bool, leads: [UInt16] = [1, 2], period: UInt32 = 32, count: UInt16 = 10
    ) -> Self {
        typealias ID = PhdcAttributeID
        func lead(_ handle: UInt16, _ code: UInt16) -> PhdcObject {
            PhdcObject(
                kind: PhdcClass.array, handle: handle,
                attributes: [
                    PhdcAttribute(ID.type, long: 0x0002_0000 | UInt32(code)), PhdcAttribute(ID.specification, 0x0040),
                    PhdcAttribute(ID.unit, 0x10B2), PhdcAttribute(ID.samplePeriod, long: period),
                    PhdcAttribute(ID.arraySpecification, [UInt8(count >> 8), UInt8(count & 0xFF), 16, 255, 0x20, 0]),
                    // -10.0 to +10.0 mV are -2000 to +2000.
                    PhdcAttribute(ID.scale16, float(-100, -1) + float(100, -1) + [0xF8, 0x30, 0x07, 0xD0]),
                ])
        }
        var map = ByteWriter()
        let waves = leads.indices.map { (UInt16($0) + 1, ID.samples, 2 + 2 * count) }
        let pulse = UInt16(leads.count) + 1
        map.sequence(waves + [(pulse, ID.basicValue, 2)]) {
            $0.bigEndian($1.0)
            $0.sequence([($1.1, $1.2)]) {
                $0.bigEndian($1.0)
                $0.bigEndian($1.1)
            }
        }
        let scanner = PhdcObject(
            kind: PhdcClass.periodicScanner, handle: 40,
            attributes: [
                PhdcAttribute(ID.operationalState, 0 as UInt16), PhdcAttribute(0x0913, 0 as UInt16),
                PhdcAttribute(0x0975, long: period * UInt32(count)),
                PhdcAttribute(ID.scannerMap, map.bytes),
            ])
        let rate = PhdcConfiguration.numeric(pulse, 0x4182, 0x0042, unit: 0x0AA0, map: [(ID.basicValue, 2)])
        var objects = leads.enumerated().map { lead(UInt16($0) + 1, 0x0100 | $1) } + [rate, scanner]
        if stored { objects.append(store(4, period: 320)) }
        var device = Self(PhdcConfiguration(id: 0x4001, objects: objects))
        device.model = "ECG"
        device.specialisation = 0x1006
        device.usesInterrupt = leads.count < 12
        device.attributes = [
            PhdcAttribute(ID.dateAndTime, PhdcClock.absolute(from: start)),
            PhdcAttribute(ID.relativeTime, long: device.ticks),
        ]
        guard stored else { return device }
        // An entry of ten samples each 40 ms, a second in all.
        let element = (
            kind: PhdcClass.array, code: UInt32(0x0002_0101), handle: UInt16(1), map: [(ID.samples, UInt16(22))]
        )
        let entries = (0..<25).map { entry in
            [0, 20]
                + (0..<10).flatMap { index -> [UInt8] in
                    let value = UInt16(bitPattern: Int16(max(0, 100 - abs(entry * 10 + index - 125)) * 4))
                    return [UInt8(value >> 8), UInt8(value & 0xFF)]
                }
        }
        device.stores[4] = [
            segment(0, [element], entries, header: 0, start: start, period: 320, portion: 7),
            segment(1, [element], [], header: 0, start: start, period: 320),
        ]
        return device
    }

    static func store(_ handle: UInt16, period: UInt32) -> PhdcObject {
        PhdcObject(
            kind: PhdcClass.store, handle: handle,
            attributes: [
                PhdcAttribute(0x0A4D, 0x8500), PhdcAttribute(0x0943, 0x0400),
                PhdcAttribute(PhdcAttributeID.operationalState, 0 as UInt16),
                PhdcAttribute(PhdcAttributeID.samplePeriod, long: period), PhdcAttribute(0x0951, 2 as UInt16),
                PhdcAttribute(0x0A63, long: 80_000),
            ])
    }

    static func segment(
        _ instance: UInt16, _ elements: [(kind: UInt16, code: UInt32, handle: UInt16, map: [(UInt16, UInt16)])],
        _ entries: [[UInt8]], header: UInt16, start: LocalTime?, period: UInt32 = 0, portion: Int = 2
    ) -> PhdcSimulator.Segment {
        var map = ByteWriter()
        map.bigEndian(header)
        map.sequence(elements) {
            $0.bigEndian($1.kind)
            $0.bigEndian($1.code)
            $0.bigEndian($1.handle)
            $0.append(contentsOf: PhdcConfiguration.mapAttribute($1.map).value)
        }
        var attributes = [
            PhdcAttribute(PhdcAttributeID.instance, instance), PhdcAttribute(PhdcAttributeID.segmentMap, map.bytes),
            PhdcAttribute(PhdcAttributeID.segmentUsage, long: UInt32(entries.count)),
            PhdcAttribute(PhdcAttributeID.transferTimeout, long: 160_000),
        ]
        if period > 0 { attributes.append(PhdcAttribute(PhdcAttributeID.samplePeriod, long: period)) }
        if let start {
            attributes.append(PhdcAttribute(PhdcAttributeID.segmentStart, PhdcClock.absolute(from: start)))
        }
        return PhdcSimulator.Segment(
            info: PhdcSegmentInfo(instance: instance, attributes: attributes), entries: entries, portion: portion)
    }

    /// Everything in variable reports, without value maps (phdc.md 14, F).
    static func therapy(at start: LocalTime) -> Self {
        func object(_ kind: UInt16, _ handle: UInt16, _ code: UInt16, unit: UInt16?) -> PhdcObject {
            PhdcObject(
                kind: kind, handle: handle,
                attributes: [PhdcAttribute(PhdcAttributeID.type, long: 0x0080_0000 | UInt32(code))]
                    + (unit.map { [PhdcAttribute(PhdcAttributeID.unit, $0)] } ?? []))
        }
        var device = Self(
            PhdcConfiguration(
                id: 0x4000,
                objects: [
                    object(PhdcClass.numeric, 1, 22180, unit: 0x127C),
                    object(PhdcClass.numeric, 2, 22104, unit: 0x08A0),
                    object(PhdcClass.enumeration, 3, 22280, unit: nil),
                    object(PhdcClass.numeric, 4, 22343, unit: 0x0F02),
                ]))
        device.model = "Therapy"
        device.specialisation = 0x1018
        let stamp = PhdcAttribute(PhdcAttributeID.timeStamp, PhdcClock.absolute(from: start))
        func said(_ handle: UInt16, _ id: UInt16, _ value: [UInt8]) -> PhdcScanReport.Item {
            PhdcScanReport.Item(person: nil, content: .variable(handle: handle, [PhdcAttribute(id, value), stamp]))
        }
        device.reports = [
            PhdcSimulator.Report(
                items: [
                    said(1, PhdcAttributeID.basicValue, sfloat(43, -1)),
                    said(2, PhdcAttributeID.simpleValue, float(412, 0)),
                    said(3, PhdcAttributeID.enumerationCode, [0x57, 0x0A]),
                    said(4, PhdcAttributeID.basicValue, sfloat(98, -1)),
                ], after: 0.5)
        ]
        return device
    }

    /// One store with a segment of results and an empty one, entries with their own times.
    static func glucose(at start: LocalTime) -> Self {
        let result = PhdcConfiguration.numeric(1, 0x71B8, 0xF040, unit: 0x0852, map: [(PhdcAttributeID.basicValue, 2)])
        var device = Self(PhdcConfiguration(id: 0x4002, objects: [result, store(2, period: 0)]))
        device.model = "Glucose meter"
        device.specialisation = 0x1011
        let element = (
            kind: PhdcClass.numeric, code: UInt32(0x0002_71B8), handle: UInt16(1),
            map: [(PhdcAttributeID.basicValue, UInt16(2))]
        )
        let entries = (0..<7).map { index in
            PhdcClock.absolute(from: start.adding(seconds: index * 14_400) ?? start) + sfloat(95 + index * 7)
        }
        device.stores[2] = [
            segment(0, [element], entries, header: 0x8000, start: start, portion: 3),
            segment(1, [element], [], header: 0x8000, start: start),
        ]
        return device
    }
}
