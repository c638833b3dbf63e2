import Devices

extension FuzzTarget {
    /// State machines of devices that are talked to: what a line or a bus could bring. One target for each registered driver
    /// belongs here.
    static let drivers: [FuzzTarget] = []
}
