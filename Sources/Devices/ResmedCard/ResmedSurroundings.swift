import Clinical
import Formats
import Wire

/// What the rest of the card says about a session: which machine it was, and the day's figures. None of it is needed to read
/// the session, and all of it may be missing or damaged.
struct ResmedSurroundings {
    private let item: ImportItem
    private let tree: any Tree

    init(_ item: ImportItem, _ tree: any Tree) {
        self.item = item
        self.tree = tree
    }

    func describe(_ recording: inout ImportedRecording, driver: String) {
        // Of a copied folder of nights nobody expects a card's files.
        let isCard = item.beside.contains { $0.last.map { ResmedFileName($0) == nil } ?? false }
        guard isCard || item.path.contains(where: { $0.uppercased() == "DATALOG" }) else { return }
        identify(&recording)
        if let start = recording.start {
            recording.notes += figures(
                of: ResmedLayout.day(of: start), from: start, seconds: recording.waveform.seconds)
        }
    }

    /// The file of that name beside the session; nil when there is none or it can't be read.
    private func file(_ name: String, limit: Int) -> [UInt8]? {
        guard let path = item.beside.first(where: { $0.last?.uppercased() == name }) else { return nil }
        return try? tree.read(path, limit: limit)
    }

    private static func surprise(_ text: String) -> Note { Note(kind: .surprise, text: text) }

    private func identify(_ recording: inout ImportedRecording) {
        let sum = file("IDENTIFICATION.CRC", limit: 16)
        var found: ResmedIdentification?
        if let bytes = file("IDENTIFICATION.JSON", limit: ResmedIdentification.sizeLimit) {
            // The checksum is defined for the exact bytes of this file (devices.md 4.1).
            if let sum, !ResmedChecksumFile.matches(sum, bytes) {
                recording.notes.append(Self.surprise("the checksum of Identification.json is wrong; it was not used"))
            } else {
                found = ResmedIdentification(json: bytes)
                if found == nil { recording.notes.append(Self.surprise("Identification.json can't be read")) }
            }
        } else if let bytes = file("IDENTIFICATION.TGT", limit: ResmedIdentification.sizeLimit) {
            found = ResmedIdentification(lines: bytes)
            // Seen on two cards only (formats.md 3.3): worth a word, not worth losing the model.
            if let sum, !ResmedChecksumFile.matches(sum, bytes) {
                recording.notes.append(Self.surprise("the checksum of Identification.tgt doesn't match"))
            }
        } else {
            recording.notes.append(Self.surprise("the card has no identification file"))
        }
        guard let found else { return }
        if let own = recording.device.serial, let stated = found.serial, own != stated {
            recording.notes.append(
                Self.surprise("the card is identified as another machine's than the session; the session's holds"))
            return
        }
        recording.device.serial = recording.device.serial ?? found.serial
        if let product = found.product ?? found.productCode { recording.device.model = product }
        recording.device.firmware = found.software
    }

    /// The day's index as counted here from the events, beside what the machine's statistics say (devices.md 4.8, step 5).
    private func figures(of day: Int, from start: LocalTime, seconds: Double) -> [Note] {
        let counted = count(from: start, seconds)
        var notes: [Note] = []
        if let outside = counted?.outside, outside > 0 {
            notes.append(Self.surprise("EVE: \(outside) events outside of all of the day's sessions were left out"))
        }
        guard let bytes = file("STR.EDF", limit: FileWalk.sizeLimit) else {
            return notes + [Self.surprise("the card's statistics (STR) can't be read")]
        }
        let statistics: ResmedStatistics
        do {
            statistics = try ResmedStatistics(bytes)
        } catch {
            return notes + [Self.surprise("the card's statistics (STR) are damaged and were not used")]
        }
        if let sum = file("STR.CRC", limit: 16), !ResmedChecksumFile.matches(sum, bytes) {
            notes.append(Self.surprise("the checksum file of the statistics (STR) doesn't match"))
        }
        guard let stated = statistics.day(day) else {
            notes.append(Note(kind: .device, text: "the statistics (STR) have no record of this therapy day"))
            return notes
        }
        var facts: [String] = []
        if let minutes = stated.minutes { facts.append("\(Self.tenth(minutes / 60)) h of use") }
        if let leak = stated.leak95 { facts.append("leak 95 % \(Self.hundredth(leak)) \(stated.leakUnit)") }
        if let ahi = stated.ahi { facts.append("AHI \(Self.tenth(ahi)) (the machine's count)") }
        if !facts.isEmpty {
            notes.append(Note(kind: .device, text: "the therapy day: \(facts.joined(separator: ", "))"))
        }
        guard let ahi = stated.ahi, let counted, counted.hours > 0 else { return notes }
        let own = Double(counted.events) / counted.hours
        let text =
            "\(counted.events) apnoeas and hypopnoeas in \(Self.tenth(counted.hours)) h are \(Self.tenth(own)) an hour"
        // Statistics count seconds where files have whole minutes, and round to a tenth.
        if abs(own - ahi) > 0.3 + 0.1 * ahi {
            notes.append(Self.surprise("\(text) on the therapy day; the statistics say \(Self.tenth(ahi))"))
        } else {
            notes.append(Note(kind: .device, text: "\(text) on the therapy day, as in the statistics"))
        }
        return notes
    }

    /// Over all sessions of the day, each event and each session once; nil when a file of them can't be read.
    private func count(
        from start: LocalTime, _ seconds: Double
    ) -> (events: Int, hours: Double, outside: Int)? {
        var events = ResmedEvents()
        var lengths = [start: seconds]
        for path in item.parts + item.beside {
            guard let name = path.last.flatMap({ ResmedFileName($0) }) else { continue }
            if name.kind == .events {
                guard let bytes = try? tree.read(path, limit: FileWalk.sizeLimit), let file = try? ResmedFile(bytes),
                    file.badRecords.isEmpty, let own = file.header.start ?? file.edf.start
                else { return nil }
                events.add(file, delay: Double(start.civilSeconds - own.civilSeconds))
            } else if name.kind.isSampled, !item.parts.contains(path) {
                guard let first = try? tree.read(path, offset: 0, count: ResmedHeader.size),
                    let header = ResmedHeader(first), header.isSound, header.records >= 0,
                    let own = header.start ?? name.stamp
                else { return nil }
                lengths[own] = max(lengths[own] ?? 0, Double(header.records) * header.recordSeconds)
            }
        }
        let outside = events.events.count { event in
            !lengths.contains { other, length in
                let end = event.end - Double(other.civilSeconds - start.civilSeconds)
                return (0...length + ResmedEvents.tail).contains(end)
            }
        }
        return (events.scored, lengths.values.reduce(0, +) / 3600, outside)
    }

    private static func tenth(_ value: Double) -> String { decimal(value, 10) }
    private static func hundredth(_ value: Double) -> String { decimal(value, 100) }

    /// Without Foundation: `3.05`.
    private static func decimal(_ value: Double, _ parts: Int) -> String {
        guard value.isFinite, abs(value) < 1e12 else { return "-" }
        let scaled = Int((value * Double(parts)).rounded())
        let digits = String(scaled.magnitude % UInt(parts) + UInt(parts)).dropFirst()
        return "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt(parts)).\(digits)"
    }
}
