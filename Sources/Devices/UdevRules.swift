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
            for match in profile.matches + profile.choices where seen.insert(match).inserted {
                lines.append(rule(match))
            }
        }
        lines += ["", "LABEL=\"ess_agent_end\"", ""]
        return lines.joined(separator: "\n")
    }

    /// The text of `95-ess-agent-brltty.rules`: brltty, whose rules come before, takes serial bridges for braille displays and
    /// would take the kernel's driver away from a medical device (devices.md 2.1). Its unit is not wanted here.
    public static func renderedAgainstBrltty(_ profiles: [DialogueProfile] = Registry.dialogues) -> String {
        var lines = [
            "# Generated from the device registry by `ess-agent udev-rules --brltty`. Do not edit.",
            "",
            "ACTION==\"remove\", GOTO=\"ess_agent_brltty_end\"",
            "SUBSYSTEM!=\"usb\", GOTO=\"ess_agent_brltty_end\"",
            "",
        ]
        var seen: Set<UdevMatch> = []
        for match in profiles.flatMap({ $0.matches + $0.choices }) where seen.insert(match).inserted {
            guard let vendor = match.vendorID, let product = match.productID else { continue }
            lines.append(
                "ENV{DEVTYPE}==\"usb_device\", ATTR{idVendor}==\"\(vendor)\", ATTR{idProduct}==\"\(product)\", "
                    + "ENV{BRLTTY_BRAILLE_DRIVER}==\"?*\", ENV{BRLTTY_BRAILLE_DRIVER}=\"\", ENV{SYSTEMD_WANTS}=\"\(wanted(match))\""
            )
        }
        return (lines + ["", "LABEL=\"ess_agent_brltty_end\"", ""]).joined(separator: "\n")
    }

    /// The text of `70-ess-agent.hwdb`: what `lsusb` and a desktop call a device, in place of the name of the chip inside it.
    /// Only for those that are met as USB devices: behind the ids of a serial bridge there may be anything. As everywhere,
    /// ids make a candidate; nothing is decided by this name.
    public static func renderedNames(_ profiles: [DialogueProfile] = Registry.dialogues) -> String {
        var lines = ["# Generated from the device registry by `ess-agent udev-rules --hwdb`. Do not edit."]
        var order: [UdevMatch] = []
        var titles: [UdevMatch: [String]] = [:]
        for profile in profiles {
            for match in profile.matches + profile.choices where match.subsystem == "usb" && match.productID != nil {
                if titles[match] == nil { order.append(match) }
                titles[match, default: []].append(profile.title)
            }
        }
        for match in order {
            guard let vendor = match.vendorID, let product = match.productID else { continue }
            lines += [
                "",
                // hwdb matches by the letters, and the kernel writes them large.
                "usb:v\(vendor.uppercased())p\(product.uppercased())*",
                " ID_MODEL_FROM_DATABASE=\((titles[match] ?? []).joined(separator: " or "))",
            ]
        }
        return (lines + [""]).joined(separator: "\n")
    }

    /// What the device itself is to start; a tty does it by its own node.
    private static func wanted(_ match: UdevMatch) -> String { match.subsystem == "usb" ? "ess-agent.service" : "" }

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
