import Clinical
import Wire

/// The table of devices in `docs/devices.md`, rendered from the registry.
public enum DeviceTable {
    /// A whole Markdown file.
    public static func rendered(
        _ profiles: [DialogueProfile] = Registry.dialogues, _ importers: [any Importer] = Registry.importers
    ) -> String {
        var lines = [
            "# Devices", "",
            "<!-- Generated from the device registry by `ess-agent device-table`. Do not edit. -->", "",
            "How sure we are of each: **verified** - two or more independent sources, or checked on real recordings; **single",
            "source** - one public source, never met by us; **experimental** - may be wrong. The level is stored with each",
            "recording and shown. What a device offers in all, and what of it is read, is in its checklist.", "",
            "## Talked to", "",
            "| Driver | Models | Line | Reads | Leaves | Support |", "|---|---|---|---|---|---|",
        ]
        for profile in profiles {
            let goals = profile.goals.map(\.rawValue).sorted().joined(separator: ", ")
            lines.append(
                "| [\(profile.name)](\(checklist(profile.name))) | \(profile.models.joined(separator: ", ")) "
                    + "| \(line(profile)) | \(profile.reads.joined(separator: "; ")) (\(goals)) "
                    + "| \(profile.leaves.isEmpty ? "-" : profile.leaves.joined(separator: "; ")) "
                    + "| \(text(profile.support)) |")
        }
        lines += [
            "",
            "A port that several drivers could be at is tried in this order. Where \"said by a person\" stands, nothing is sent",
            "before `ess-agent devices identify PORT MODEL`.", "",
            "## Cards, sticks, files", "", "| Importer | What | Support |", "|---|---|---|",
        ]
        for importer in importers {
            lines.append(
                "| [\(importer.name)](\(checklist(importer.name))) | \(importer.title) | \(text(importer.support)) |")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `contec-ecg90a` has its room in `Sources/Devices/ContecEcg90a`.
    public static func folder(_ name: String) -> String {
        name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private static func checklist(_ name: String) -> String { "../Sources/Devices/\(folder(name))/CHECKLIST.md" }

    private static func line(_ profile: DialogueProfile) -> String {
        let ids = (profile.matches + profile.choices).map { match in
            match.interface.map { "interface \($0)" } ?? "\(match.vendorID ?? "?"):\(match.productID ?? "?")"
        }
        let way =
            switch profile.transport {
            case .serial(let line): "serial \(line.speed)\(line.parity == .none ? "" : " \(line.parity) parity")"
            case .usb(let shape): shape.endpoints == .bulk ? "USB bulk" : "USB HID"
            }
        return "\(way), \(ids.joined(separator: ", "))" + (profile.matches.isEmpty ? ", said by a person" : "")
    }

    private static func text(_ level: SupportLevel) -> String {
        switch level {
        case .verified: "verified"
        case .singleSource: "single source"
        case .experimental: "experimental"
        }
    }
}
