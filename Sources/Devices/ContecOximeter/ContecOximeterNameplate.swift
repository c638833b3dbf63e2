import Clinical

/// What the device has said about itself so far. The user's name (frame 05) is not kept: it may be a patient's.
struct ContecOximeterNameplate: Equatable, Sendable {
    private var modelParts: [UInt8: [UInt8]] = [:]
    private(set) var vendor: String?
    /// Frame 04.
    private var identifier: String?
    private(set) var protocolVersion: String?
    /// Frame 0E; nil when the device has not said.
    private(set) var hasPerfusion: Bool?

    /// Both halves of the model's name.
    var hasWholeModel: Bool { modelParts[0] != nil && modelParts[1] != nil }

    /// The halves in order; the second may begin with FF (devices.md 3.3).
    var model: String? {
        let name = Self.text(modelParts.sorted { $0.key < $1.key }.flatMap(\.value))
        return name.isEmpty ? nil : name
    }

    /// The identifier, where it is this device's own. A CMS50D+ fresh from the factory says `user` (a real capture has it): many devices
    /// say so, and the loan of one of them would take another's nights. A name of one repeated character is nobody's either.
    var serial: String? {
        identifier.flatMap { $0.lowercased() == "user" || Set($0).count < 2 ? nil : $0 }
    }

    /// At least one frame that only this kind of device sends in answer to a question (devices.md 3.8.2).
    var isIdentified: Bool {
        !modelParts.isEmpty || vendor != nil || identifier != nil || protocolVersion != nil
    }

    mutating func take(_ frame: ContecOximeterFrame) {
        switch frame {
        case .model(let index, let text) where index < 2: modelParts[index] = text
        case .vendor(let text): vendor = Self.text(text)
        case .identifier(let text): identifier = Self.text(text)
        // Always seen as 0, 7; OSCAR calls it the protocol's version.
        case .version(let major, let minor): protocolVersion = major == 0 ? "\(minor)" : "\(major).\(minor)"
        case .perfusionSupport(let value): hasPerfusion = value == 0
        default: break
        }
    }

    /// Nil as long as nothing is known.
    var identity: DeviceIdentity? {
        guard isIdentified else { return nil }
        return DeviceIdentity(
            driver: ContecOximeter.name, vendor: vendor.flatMap { $0.isEmpty ? nil : $0 } ?? "Contec",
            model: model ?? "protocol V7 oximeter", serial: serial,
            firmware: protocolVersion.map { "protocol \($0)" }, support: .verified)
    }

    /// What names the device inside `StoredItem.source`.
    var sourceName: String {
        let own = identifier.flatMap { $0.isEmpty ? nil : $0 }
        return DeviceIdentity.sourceName(own ?? identity?.model ?? "unknown")
    }

    /// Trimmed of NUL, space and FF; what can't be shown is left out.
    static func text(_ bytes: [UInt8]) -> String {
        let shown = bytes.filter { 0x20..<0x7F ~= $0 }
        let start = shown.drop { $0 == 0x20 }
        let end = start.lastIndex { $0 != 0x20 }
        return end.map { String(decoding: start[...$0], as: UTF8.self) } ?? ""
    }
}

/// What is known of one place in the device's memory.
struct ContecOximeterStoredFacts: Equatable, Sendable {
    var place: ContecOximeterPlace
    /// Century, year, month, day.
    var date: [UInt8]?
    /// Hour, minute, second.
    var time: [UInt8]?
    /// Bytes of values (devices.md 3.6).
    var bytes: UInt32?
    /// Frame 15.
    var hasPerfusion: Bool?

    /// Nil when the device has no clock (year 0) or says an impossible date.
    var start: LocalTime? {
        guard let date, let time, date[1] != 0 || date[0] != 0 else { return nil }
        return LocalTime(
            year: Int(date[0]) * 100 + Int(date[1]), month: Int(date[2]), day: Int(date[3]), hour: Int(time[0]),
            minute: Int(time[1]), second: Int(time[2]))
    }

    /// The bytes as the device sent them, in decimal: `20-14-08-18-02-38-18` (century, year, month, day, time).
    var rawStart: String? {
        let bytes = (date ?? []) + (time ?? [])
        return bytes.isEmpty ? nil : bytes.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: "-")
    }

    /// Nil when the device has not said, or said none.
    func samples(perfusion: Bool) -> Int? {
        guard let bytes, bytes > 0 else { return nil }
        return Int(bytes) / (perfusion ? 4 : 2)
    }

    /// Many devices have no clock, and one that is set back gives a start twice: the samples' mark is in the name.
    /// - Parameters:
    ///   - device: `ContecOximeterNameplate.sourceName`.
    ///   - isCertain: as of `ContentMark.source`.
    ///   - isShared: as `StoredItem.isShared`.
    func item(device: String, _ stored: ContecOximeterStoredStream, isCertain: Bool, isShared: Bool) -> StoredItem {
        let count = samples(perfusion: stored.hasPerfusion) ?? 0
        // Without the segment: where the oldest one goes, the others may move up.
        let place = "\(ContecOximeter.name)/\(device)/\(place.user)/\(rawStart ?? "none")/\(count)"
        return StoredItem(
            source: stored.mark.source(of: place, isCertain: isCertain), start: start, rawStart: rawStart,
            samples: count, isShared: isShared,
            // A sample each second. Forgotten in the recorder, a night goes on into the next patient's time.
            last: start.flatMap { LocalTime(civilSeconds: $0.civilSeconds + count) })
    }
}
