import Clinical

/// What the records of a Beurer monitor are, by whichever cable they came: measurements by the mark of their user, and the bytes, which
/// are not sorted by user.
struct BeurerMemory: Sendable {
    private var users: [Int: BloodPressureMemory] = [:]
    /// Everything that was heard, for the first recording.
    private var raw: [UInt8] = []

    var isEmpty: Bool { users.isEmpty }
    /// Records of two people.
    var isOfBoth: Bool { users.count > 1 }
    /// Measurements of all users.
    var count: Int { users.values.reduce(0) { $0 + $1.measurements.count } }

    mutating func keep(_ bytes: some Collection<UInt8>) {
        if raw.count + bytes.count <= BloodPressureMemory.mostBytes { raw += bytes }
    }

    /// One that says nothing is left out.
    mutating func take(_ record: [UInt8]) {
        guard let measurement = BloodPressureMeasurement(beurer: record) else { return }
        users[BloodPressureMeasurement.user(beurer: record), default: BloodPressureMemory(bank: nil)].add(measurement)
    }

    /// One recording for each user; the bytes are with the first. Nothing is left afterwards.
    /// - Parameters:
    ///   - hasUsers: the mark says whose they are.
    ///   - announced: measurements of each; nil where that isn't known.
    mutating func recordings(
        of device: DeviceIdentity, known: KnownItems, hasUsers: Bool, announced: Int?, isShared: Bool,
        reason: Recording.EndReason, at now: UInt64
    ) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for user in users.keys.sorted() {
            guard var memory = users[user] else { continue }
            if hasUsers { memory.bank = user }
            memory.announced = announced
            memory.precede(with: raw)
            raw = []
            actions += memory.recording(
                driver: device.driver, device: device.sourceName, known: known, isShared: isShared, reason: reason,
                at: now)
        }
        users = [:]
        return actions
    }

    /// - Parameters:
    ///   - text: what the monitor says of itself.
    ///   - model: when it says nothing.
    static func identity(_ text: String, driver: String, otherwise model: String) -> DeviceIdentity {
        let words = text.split(separator: " ").map(String.init)
        // Only a simulator says a serial number.
        let serial = words.first { $0.hasPrefix("SIM") }
        let own = words.filter { $0 != serial }.joined(separator: " ")
        return DeviceIdentity(
            driver: driver, vendor: "Beurer", model: own.isEmpty ? model : own, serial: serial, support: .verified)
    }
}
