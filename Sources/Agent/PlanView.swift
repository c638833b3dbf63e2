public import Clinical
import FoundationEssentials
import Store

/// What the pathway asks for at a visit, and what is there.
public struct PlanView: Codable, Sendable, Equatable {
    public var visit: String
    /// Nil when the order names no pathway that is known here.
    public var pathway: PathwayView?
    public var items: [ItemView]
    /// Required ones that are neither there nor explained: closing asks for a reason for each.
    public var missing: [String]

    public struct PathwayView: Codable, Sendable, Equatable {
        public var code: String
        public var title: String
    }

    public struct ItemView: Codable, Sendable, Equatable {
        /// Of the first block.
        public var key: String
        public var required: Bool
        /// `done`, `explained` or `missing`.
        public var state: String
        /// Any of these will do.
        public var blocks: [BlockView]
        /// Why it is missing.
        public var reason: ReasonView?
    }

    public struct BlockView: Codable, Sendable, Equatable {
        public var key: String
        public var title: String
        public var hint: String?
        public var form: Form?
        /// Recordings of the visit that count.
        public var recordings: [String]
        public var entries: [EntryView]
    }

    public struct ReasonView: Codable, Sendable, Equatable {
        public var id: String
        public var text: String
        public var by: String
    }
}

/// A form as it was filled in.
public struct EntryView: Codable, Sendable, Equatable {
    public var id: String
    /// One line, French: `142 / 80 mmHg`.
    public var text: String
    public var warnings: [String]
    public var by: String
    /// RFC 3339.
    public var at: String
    /// `waiting`, `received` or `quarantined`.
    public var state: String

    init(_ kept: KeptEntry) {
        let entry = kept.entry
        self.init(
            id: "\(entry.id)".lowercased(), text: entry.sentence, warnings: entry.warnings, by: entry.by,
            at: rfc3339(unixMilliseconds: entry.at), state: kept.stage.rawValue)
    }

    private init(id: String, text: String, warnings: [String], by: String, at: String, state: String) {
        self.id = id
        self.text = text
        self.warnings = warnings
        self.by = by
        self.at = at
        self.state = state
    }
}

/// What of the plan a visit has.
struct PlanProgress {
    let catalogue: PathwayCatalogue
    let visit: Visit
    /// Of this visit.
    let recordings: [RecordingSummary]
    let readings: [RecordingID: [Reading]]
    let entries: [KeptEntry]

    var view: PlanView {
        guard let pathway = catalogue.pathway(visit.pathway) else {
            return PlanView(visit: visit.id, pathway: nil, items: [], missing: [])
        }
        let items =
            pathway.required.map { item($0, required: true) } + pathway.optional.map { item($0, required: false) }
        return PlanView(
            visit: visit.id, pathway: .init(code: pathway.code, title: pathway.title), items: items,
            missing: items.filter { $0.required && $0.state == "missing" }.map(\.key))
    }

    private func item(_ item: PlanItem, required: Bool) -> PlanView.ItemView {
        let key = item.blocks[0]
        let blocks = item.blocks.compactMap { catalogue.blocks[$0] }.map(block)
        let isDone = blocks.contains { !$0.recordings.isEmpty || !$0.entries.isEmpty }
        let reason = entries.last { $0.entry.reason != nil && $0.entry.block == key && !$0.isWithdrawn }?.entry
        return PlanView.ItemView(
            key: key, required: required, state: isDone ? "done" : reason == nil ? "missing" : "explained",
            blocks: blocks,
            reason: reason.map {
                PlanView.ReasonView(id: "\($0.id)".lowercased(), text: $0.reason ?? "", by: $0.by)
            })
    }

    private func block(_ block: AcquisitionBlock) -> PlanView.BlockView {
        let own = entries.filter { $0.entry.block == block.key && $0.entry.form != nil && !$0.isWithdrawn }
        return PlanView.BlockView(
            key: block.key, title: block.title, hint: block.hint, form: block.form,
            recordings: recordings.filter { recording in
                block.evidence.contains { fits(recording, $0) }
            }.map { "\($0.id)" }, entries: own.map(EntryView.init))
    }

    private func fits(_ recording: RecordingSummary, _ evidence: AcquisitionBlock.Evidence) -> Bool {
        guard recording.state != .open, recording.supersededBy == nil, !recording.isEmpty || hasReadings(recording)
        else {
            return false
        }
        if let modality = evidence.modality, recording.modality != modality { return false }
        // Half a copy of an image is no image: the whole one is still on the stick.
        if recording.modality == .imaging, recording.state != .complete { return false }
        if let seconds = evidence.seconds, recording.seconds < seconds { return false }
        if let channels = evidence.channels, recording.samples.count < channels { return false }
        let kinds = Set((readings[recording.id] ?? []).map(\.kind))
        return evidence.readings.allSatisfy(kinds.contains)
    }

    private func hasReadings(_ recording: RecordingSummary) -> Bool { !(readings[recording.id] ?? []).isEmpty }
}

extension Entry {
    /// `142 / 80 mmHg, 71 /min`; for a list on the page.
    var sentence: String {
        guard let form else { return reason ?? "" }
        var parts: [(text: String, unit: String)] = []
        for field in form.fields {
            switch values[field.key] {
            case nil: continue
            case .number(let number)?:
                parts.append((number.split(separator: ".").joined(separator: ","), field.unitLabel ?? ""))
            case .choice(let value)?:
                if form.total != nil { continue }
                parts.append((field.options.first { $0.value == value }?.label ?? value, ""))
            case .text(let text)?: parts.append((text, ""))
            case .yesNo(let isYes)?: parts.append(("\(field.label) : \(isYes ? "oui" : "non")", ""))
            }
        }
        if let total, let name = form.total { return "\(name) : \(total)" }
        // A pressure is written as 142 / 80.
        if form.panel != nil, parts.count >= 2, parts[0].unit == parts[1].unit {
            parts[0].text += " / \(parts[1].text)"
            parts.remove(at: 1)
        }
        return parts.map { $0.unit.isEmpty || $0.unit == "1" ? $0.text : "\($0.text) \($0.unit)" }.joined(
            separator: ", ")
    }
}
