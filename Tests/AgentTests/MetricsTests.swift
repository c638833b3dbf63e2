import Testing

@testable import Agent

@Suite struct MetricsTests {
    private func status(sync state: String, contact: String?) -> StatusView {
        var sync = SyncView(state: state, sentence: "", isSettled: false)
        sync.lastContact = contact
        return StatusView(
            version: "1.2.3", sentence: "Prêt.", openVisit: "visit-of-somebody", devices: 2,
            counts: StatusView.Counts(
                recordings: 9, open: 1, unattributed: 2, needStartTime: 3, waiting: 4, received: 5, quarantined: 6),
            sync: sync, freeBytes: nil)
    }

    private func values(_ text: String) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
                let parts = $0.split(separator: " ")
                return (String(parts[0]), String(parts[1]))
            })
    }

    @Test func eachValueOnceWithHelpAndType() {
        let text = Metrics.text(status(sync: "online", contact: "2026-11-26T12:00:00Z"), residentBytes: 4096)
        let found = values(text)
        #expect(found["ess_agent_info{version=\"1.2.3\"}"] == "1")
        #expect(found["ess_agent_documents_waiting"] == "4")
        #expect(found["ess_agent_recordings_unattributed"] == "2")
        #expect(found["ess_agent_server_reachable"] == "1")
        #expect(found["ess_agent_last_contact_timestamp_seconds"] == "1795694400")
        #expect(found["ess_agent_resident_memory_bytes"] == "4096")
        for name in found.keys.map({ $0.split(separator: "{")[0] }) {
            #expect(text.contains("# HELP \(name) ") && text.contains("# TYPE \(name) gauge\n"))
        }
    }

    @Test func whatIsNotKnownIsMissingAndNobodyIsNamed() {
        let text = Metrics.text(status(sync: "offline", contact: nil), residentBytes: nil)
        let found = values(text)
        #expect(found["ess_agent_server_reachable"] == "0")
        #expect(found["ess_agent_visit_open"] == "1")
        #expect(!text.contains("last_contact") && !text.contains("free_bytes") && !text.contains("resident"))
        #expect(!text.contains("visit-of-somebody"))
    }
}
