import Clinical
import FoundationEssentials
import Logging
import Store

// When to try, and what may go over this connection (sync.md 5). Whether there is a way is for the ping to find out.

extension SyncEngine {
    func startWatching() {
        let watch = NetworkWatch { [weak self] isNewRoute in await self?.networkMoved(isNewRoute) }
        watch.start()
        self.watch = watch
    }

    private func networkMoved(_ isNewRoute: Bool) {
        policyLookedAt = -.infinity
        if isNewRoute {
            logger.info("the network has changed")
            wasInterrupted = true
            link?.client.interrupt()
            machine.networkChanged()
        } else {
            machine.networkHinted()
        }
        bell.ring()
    }

    func lookAtNetwork() async {
        guard now - policyLookedAt > 10 else { return }
        policyLookedAt = now
        var found = NetworkPolicy()
        found.isMetered =
            switch configuration.region.metered {
            case "yes": true
            case "no": false
            default: watch?.isMetered ?? false
            }
        found.battery = await Blocking.run { Battery.discharging() }
        if found.isMetered {
            let spent = (try? await store.value(forKey: meterKey)).flatMap { Int($0) } ?? 0
            found.budget = max(0, configuration.region.meteredDailyBytes - spent)
        }
        policy = found
    }

    /// Those that may go now; notes whether some may not.
    func allowed(_ items: [OutboxItem]) -> [OutboxItem] {
        held = nil
        guard policy.isRestricted else { return items }
        return items.filter { item in
            let why = policy.holds(item.modality, size: item.document.size, isUrgent: item.visit.isUrgent)
            if let why { held = why }
            return why == nil
        }
    }

    /// What went over a metered connection today, kept over restarts.
    func spend(_ bytes: Int) {
        guard policy.isMetered, bytes > 0 else { return }
        policy.budget = max(0, policy.budget - bytes)
        let spent = configuration.region.meteredDailyBytes - policy.budget
        Task { [store, meterKey] in try? await store.setValue("\(spent)", forKey: meterKey) }
    }

    private var meterKey: String { "metered|\(rfc3339(unixMilliseconds: clock.wall).prefix(10))" }
}
