import Clinical

/// Exchanged arm electrodes turn lead I over and leave the chest leads as they are: then lead I points down and runs against
/// V6, which looks the same way ("P-QRS complexes of opposite direction in leads I and V6": Batchvarov, Malik, Camm, Europace
/// 2007;9:1081, doi:10.1093/europace/eum198). In a heart on the right side V6 points down as well, and nothing is said. The
/// correlation, its threshold and the ten seconds are ours.
struct ArmLeads: Sendable {
    /// Lead I's place; nil when there are too few leads to tell.
    let one: Int?
    private let chest: Int?
    private let right: Int?
    /// Samples over which a slope is taken: 8 ms.
    private let lag: Int
    private var seconds: [Second] = []

    private static let memory = 10
    private static let opposed = -0.7

    private struct Second {
        var products = 0.0
        var ones = 0.0
        var chests = 0.0
        var oneUp = 0.0
        var oneDown = 0.0
        var chestUp = 0.0
        var chestDown = 0.0
        var rightUp = 0.0
        var rightDown = 0.0
    }

    init(_ channels: [Channel]) {
        func place(_ signal: Channel.Signal) -> Int? { channels.firstIndex { $0.signal == signal } }
        let found = place(.ecgI)
        let chest = place(.ecgV6) ?? place(.ecgV5)
        let isUsable = found.flatMap { one in chest.map { channels[one].rate == channels[$0].rate } } ?? false
        one = isUsable ? found : nil
        self.chest = isUsable ? chest : nil
        right = place(.ecgAVR)
        lag = max(1, Int((found.map { channels[$0].rate.value } ?? 125) / 125))
    }

    /// The correlation of the slopes of lead I and V6 over the last ten seconds when it tells of exchanged arms.
    mutating func opposition(_ windows: [ArraySlice<Sample>]) -> Double? {
        guard let one, let chest else { return nil }
        guard let second = second(windows[one], windows[chest], right.map { windows[$0] }) else { return nil }
        seconds.append(second)
        if seconds.count > Self.memory { seconds.removeFirst() }
        guard seconds.count == Self.memory else { return nil }
        func sum(_ part: KeyPath<Second, Double>) -> Double { seconds.reduce(0) { $0 + $1[keyPath: part] } }
        let energy = (sum(\.ones) * sum(\.chests)).squareRoot()
        guard energy > 0 else { return nil }
        let correlation = sum(\.products) / energy
        guard correlation <= Self.opposed, sum(\.oneDown) > 1.3 * sum(\.oneUp), sum(\.chestUp) > sum(\.chestDown),
            sum(\.rightUp) >= sum(\.rightDown)
        else { return nil }
        return correlation
    }

    /// Nil when there are too few values.
    private func second(
        _ one: ArraySlice<Sample>, _ chest: ArraySlice<Sample>, _ right: ArraySlice<Sample>?
    ) -> Second? {
        guard one.count == chest.count, one.count > lag, let first = Self.swing(one), let other = Self.swing(chest)
        else {
            return nil
        }
        var second = Second()
        (second.oneUp, second.oneDown) = first
        (second.chestUp, second.chestDown) = other
        if let right, let swing = Self.swing(right) { (second.rightUp, second.rightDown) = swing }
        for offset in lag..<one.count {
            let (a, b) = (one[one.startIndex + offset], one[one.startIndex + offset - lag])
            let (c, d) = (chest[chest.startIndex + offset], chest[chest.startIndex + offset - lag])
            guard a != .absent, b != .absent, c != .absent, d != .absent else { continue }
            let (x, y) = (Double(a) - Double(b), Double(c) - Double(d))
            second.products += x * y
            second.ones += x * x
            second.chests += y * y
        }
        return second
    }

    /// How far a lead goes above and below its mean.
    private static func swing(_ window: ArraySlice<Sample>) -> (up: Double, down: Double)? {
        var (sum, count) = (0.0, 0.0)
        var (low, high) = (Double.infinity, -Double.infinity)
        for sample in window where sample != .absent {
            let value = Double(sample)
            sum += value
            count += 1
            (low, high) = (min(low, value), max(high, value))
        }
        guard count * 2 > Double(window.count), count > 0 else { return nil }
        return (high - sum / count, sum / count - low)
    }
}
