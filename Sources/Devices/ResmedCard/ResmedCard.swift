public import Clinical
import Formats
public import Wire

/// The SD card of a ResMed S9, AirSense 10 or AirSense 11 (devices.md 4): one recording for each session, from mask on to
/// mask off. Its original is a ustar archive of the session's files.
public struct ResmedCard: Importer {
    static let driver = "resmed-card"

    public let name = Self.driver
    public let title = "ResMed SD card (S9, AirSense 10, AirSense 11)"
    /// Layout, scales and checksums from several independent sources, which checked them on real cards (devices.md 4).
    public let support = SupportLevel.verified

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] { try look(in: tree).items }

    public func look(in tree: any Tree) throws(TreeError) -> (items: [ImportItem], memories: [CardMemory]) {
        var items: [ImportItem] = []
        var memories: [CardMemory] = []
        for card in try ResmedLayout.cards(in: tree) {
            memories.append(card.memory)
            let days = Dictionary(grouping: card.sessions, by: \.day)
            for session in card.sessions {
                let parts = session.files.flatMap(\.paths)
                // What the day's index is counted from: one sampled file and the events of each other session.
                var beside = card.about
                for other in days[session.day] ?? [] where other.files[0].path != session.files[0].path {
                    let files = other.files.prefix(1) + other.files.filter { $0.kind == .events }
                    beside += files.map(\.path).filter { !parts.contains($0) && !beside.contains($0) }
                }
                items.append(
                    ImportItem(
                        parts: parts, beside: beside,
                        size: session.files.reduce(0) { $0 + $1.size + ($1.checksum?.size ?? 0) }))
            }
        }
        return (items, memories)
    }

    /// The samples, and the events that lie in them. A file of events grows as long as its day lasts: with another session's events in it
    /// this one is no other, and isn't kept twice. An event that is new in this session makes another recording of it: the first one may
    /// have been sent, and what it lacked is not lost.
    public func identity(of original: [UInt8]) -> [UInt8] {
        guard let archive = try? Ustar(decoding: original) else { return original }
        return ResmedSession.identity(of: archive.entries.map { (Self.lastComponent($0.name), $0.bytes) }) ?? original
    }

    public func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? {
        let entries = try entries(of: item, from: tree, named: Self.nameOnCard)
        do { return try Ustar(entries).encoded() } catch { throw .damaged("\(error)") }
    }

    public func read(
        _ item: ImportItem, original: [UInt8], from tree: any Tree
    ) throws(ImportError) -> ImportedRecording {
        var recording = try decode(original)
        ResmedSurroundings(item, tree).describe(&recording, driver: name)
        return recording
    }

    /// An original that `read` made, or one file by itself; without the card around it, the machine's model is unknown.
    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        let archive: Ustar
        do {
            archive = try Ustar(decoding: bytes)
        } catch {
            if case .damaged(_, let text) = error { throw .damaged(text) }
            guard ResmedFile.isOne(bytes) else { throw .notRecognised }
            return recording(of: ResmedSession(try ResmedFile(bytes)), original: bytes)
        }
        let names = archive.entries.compactMap { ResmedFileName(Self.lastComponent($0.name)) }
        guard names.contains(where: \.kind.isSampled) else { throw .notRecognised }
        let session = try ResmedSession(archive.entries.map { (Self.lastComponent($0.name), $0.bytes) })
        return recording(of: session, original: bytes)
    }

    private func recording(of session: ResmedSession, original: [UInt8]) -> ImportedRecording {
        let variant = [session.platform.map { "MID \($0)" }, session.variant.map { "VID \($0)" }].compactMap { $0 }
        return ImportedRecording(
            modality: .sleep,
            device: DeviceIdentity(
                driver: name, vendor: "ResMed",
                model: variant.isEmpty ? "CPAP" : "CPAP \(variant.joined(separator: " "))",
                serial: session.serial, support: support),
            waveform: session.waveform, original: original, start: session.start, rawStart: session.startText,
            claim: nil, notes: session.notes)
    }

    /// Relative to the card's root, wherever a copy of the card lies; of a copied folder, whose name may be anything, the files' own.
    private static func nameOnCard(_ path: [String]) -> String {
        let log = path.lastIndex { $0.uppercased() == "DATALOG" } ?? max(0, path.count - 1)
        return path[log...].joined(separator: "/")
    }

    private static func lastComponent(_ name: String) -> String { String(name.split(separator: "/").last ?? "") }
}
