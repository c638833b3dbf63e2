import Clinical
import Store

extension Verbs {
    /// Looks at everything that has to be right for a day in the field.
    /// - Parameter isThorough: reads every recording as well, which takes as long as reading the whole file.
    public func doctor(isThorough: Bool) async throws -> DoctorView {
        try await guarded {
            var findings = [Finding.agentWell(agentVersion)]
            let report = isThorough ? try await store.salvage() : try await store.glance()
            let isDamaged = !report.problems.isEmpty || !report.damaged.isEmpty || !report.damagedVisits.isEmpty
            findings.append(isDamaged ? .storeDamaged(report) : .storeWell(isThorough))
            switch report.audit {
            case .intact: findings.append(.auditWell)
            case .broken(let entry): findings.append(.auditBroken(entry))
            case nil: findings.append(.auditBroken(nil))
            }
            findings += Doctor(configuration).look()
            findings += await devicesAndSurprises()
            findings.append(configuration.server == nil ? .noServer : .server(await sync.view()))
            if let counts = try? await store.statusCounts(),
                let finding = Finding.decisions(
                    unattributed: counts.unattributed, held: counts.held, undated: counts.needingStart,
                    quarantined: counts.quarantined)
            {
                findings.append(finding)
            }
            return DoctorView(findings: findings)
        }
    }

    private func devicesAndSurprises() async -> [Finding] {
        let devices = await hub.views()
        var findings = devices.isEmpty ? [Finding.noDevices] : devices.map(Finding.device)
        for device in (try? await store.devices()) ?? [] where !device.surprises.isEmpty {
            findings.append(.surprises("\(device.identity.vendor) \(device.identity.model)", device.surprises))
        }
        return findings
    }
}
