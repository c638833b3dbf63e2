import FHIR
import FoundationEssentials
import Glibc

/// What a fleet's monitoring may know of a laptop, as Prometheus text (exposition format 0.0.4): counts and times, no identity, no
/// device's serial, no visit.
public enum Metrics {
    /// - Parameter residentBytes: of the daemon; nil when the kernel doesn't say.
    public static func text(_ status: StatusView, residentBytes: Int? = residentBytes()) -> String {
        let counts = status.counts
        var lines: [String] = []
        func gauge(_ name: String, _ help: String, _ value: String, labels: String = "") {
            lines += [
                "# HELP ess_agent_\(name) \(help)", "# TYPE ess_agent_\(name) gauge",
                "ess_agent_\(name)\(labels) \(value)",
            ]
        }
        gauge("info", "The running version.", "1", labels: "{version=\"\(status.version)\"}")
        gauge("recordings", "Recordings on this laptop.", "\(counts.recordings)")
        gauge("recordings_open", "Captures that run now.", "\(counts.open)")
        gauge(
            "recordings_unattributed", "Recordings that wait for a person's decision whose they are.",
            "\(counts.unattributed)")
        gauge("recordings_without_start", "Recordings that wait for a start time.", "\(counts.needStartTime)")
        gauge("documents_waiting", "Documents without the server's receipt.", "\(counts.waiting)")
        gauge("documents_received", "Documents with the server's receipt.", "\(counts.received)")
        gauge("documents_quarantined", "Documents that were set aside and need the centre.", "\(counts.quarantined)")
        gauge("devices", "Devices that are plugged in.", "\(status.devices)")
        gauge("visit_open", "1 while a visit is open.", status.openVisit == nil ? "0" : "1")
        gauge("enrolled", "1 when a server is configured.", status.sync.state == "unconfigured" ? "0" : "1")
        gauge(
            "server_reachable", "1 when the last attempt reached the server.",
            ["online", "sending"].contains(status.sync.state) ? "1" : "0")
        // Missing means "not known", never 0.
        if let contact = status.sync.lastContact.flatMap({ Instant($0) }) {
            gauge(
                "last_contact_timestamp_seconds", "Last answer of the server, Unix time.",
                "\(contact.milliseconds / 1000)")
        }
        if let free = status.freeBytes { gauge("free_bytes", "Free bytes where recordings are kept.", "\(free)") }
        if let residentBytes { gauge("resident_memory_bytes", "Resident memory of the daemon.", "\(residentBytes)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// From /proc/self/statm: resident pages.
    public static func residentBytes() -> Int? {
        guard let file = unsafe fopen("/proc/self/statm", "re") else { return nil }
        defer { unsafe fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = unsafe fread(&buffer, 1, buffer.count, file)
        let words = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
        guard words.count > 1, let pages = Int(words[1]) else { return nil }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }
}
