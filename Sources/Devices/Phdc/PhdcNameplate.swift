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
    /// The device's clocks as they were read together; turns relative stamps into dates.
    private(set) var dateAndTime: LocalTime?
    private(set) var ticks: UInt32?
    /// Attributes that nobody reads here, as the device sent them.
    private(set) var others: [PhdcAttribute] = []

    var isEmpty: Bool { systemID == nil && model == nil && serial == nil }

    mutating func take(systemID: [UInt8]) {
        guard systemID.count == 8 else { return }
        self.systemID = systemID
    }

    mutating func take(_ attributes: [PhdcAttribute]) {
        for attribute in attributes { take(attribute) }
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

    /// The date of a relative stamp, by the pair of clocks that was read at the association.
    func date(ofTicks stamp: UInt32) -> LocalTime? {
        guard let dateAndTime, let ticks else { return nil }
        // The counter rolls over after six days: the nearer way round is meant.
        let distance = Int(Int32(bitPattern: stamp &- ticks))
        let seconds = distance >= 0 ? distance / 8000 : -((-distance + 7999) / 8000)
        return dateAndTime.adding(seconds: seconds)
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
