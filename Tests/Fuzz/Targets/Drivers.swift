import Devices

extension FuzzTarget {
    /// State machines of devices that are talked to: what a line or a bus could bring, to the driver that leads the
    /// conversation and to the listener that follows one. One target for each registered driver.
    static let drivers: [FuzzTarget] = Registry.dialogues.map { profile in
        FuzzTarget("driver-\(profile.name)", made: { _ in DriverCorpus.seeds(profile) }) { bytes in
            var session = DriverSession(profile, script: bytes)
            session.run()
            if let violation = session.violation { fatalError("\(profile.name): \(violation)") }
            let report = replay(Script(bytes).transcript, through: profile)
            if report.recordings.contains(where: { $0.end == nil }) { fatalError("\(profile.name): heard no end") }
        }
    }
}
