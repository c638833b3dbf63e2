/// Renders the udev rules from the registry, so that a device that was added is recognised without a second list.
public enum UdevRules {
    /// The text of `70-ess-agent.rules`: after `60-serial.rules` has set the ids, before ModemManager looks at its mark
    /// (devices.md 2.2).
    public static func rendered(_ profiles: [DialogueProfile] = Registry.dialogues) -> String {
        var lines = [
            "# Generated from the device registry by `ess-agent udev-rules`. Do not edit.",
            "",
            "ACTION==\"remove\", GOTO=\"ess_agent_end\"",
        ]
        var seen: Set<UdevMatch> = []
        for profile in profiles {
            lines += ["", "# \(profile.title)"]
            // Two devices may share an id; the probe tells them apart, not the rule.
            for match in profile.matches where seen.insert(match).inserted { lines.append(rule(match)) }
        }
        lines += ["", "LABEL=\"ess_agent_end\"", ""]
        return lines.joined(separator: "\n")
    }

    private static func rule(_ match: UdevMatch) -> String {
        var keys = ["SUBSYSTEM==\"\(match.subsystem)\""]
        // The device's node, not its interfaces'.
        if match.subsystem == "usb" { keys.append("ENV{DEVTYPE}==\"usb_device\"") }
        if let vendor = match.vendorID { keys.append("ENV{ID_VENDOR_ID}==\"\(vendor)\"") }
        if let product = match.productID { keys.append("ENV{ID_MODEL_ID}==\"\(product)\"") }
        if let interface = match.interface { keys.append("ENV{ID_USB_INTERFACES}==\"*:\(interface):*\"") }
        // Autosuspend must not pause an acquisition.
        if match.subsystem == "usb" { keys.append("ATTR{power/control}=\"on\"") }
        keys += [
            "GROUP=\"ess-agent\"",
            "MODE=\"0660\"",
            "TAG+=\"ess-agent\"",
            "TAG+=\"systemd\"",
            "ENV{SYSTEMD_WANTS}+=\"ess-agent.service\"",
            // ModemManager would write AT commands into a medical device.
            "ENV{ID_MM_DEVICE_IGNORE}=\"1\"",
        ]
        return keys.joined(separator: ", ")
    }
}
