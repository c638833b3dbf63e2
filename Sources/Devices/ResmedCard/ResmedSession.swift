import Clinical
import Formats
import Wire

/// The files of one session, joined: all signals on one time axis, events as notes.
struct ResmedSession {
    /// A file and its name on the card.
    struct Part {
        var name: ResmedFileName
        var file: ResmedFile
    }

    var start: LocalTime?
    var startText: String
    /// As the files' headers say it, under their checksum.
    var serial: String?
    var platform: String?
    var variant: String?
    var waveform: Waveform
    var notes: [Note]

    /// - Parameter files: the session's files with their names' last components. What isn't named like a session's file, and
    ///   checksum files, are used to check, or not at all.
    /// - Throws: `.damaged` when no file with samples can be used.
    init(_ files: [(name: String, bytes: [UInt8])]) throws(ImportError) {
        notes = []
        var parts: [Part] = []
        var reasons: [String] = []
        for (text, bytes) in files {
            guard let name = ResmedFileName(text), name.kind != .ventilation else { continue }
            do throws(ImportError) {
                let file = try ResmedFile(bytes)
                parts.append(Part(name: name, file: file))
                if let sum = files.first(where: { $0.name == Self.checksumName(text) })?.bytes,
                    !ResmedChecksumFile.matches(sum, bytes)
                {
                    notes.append(Self.surprise("\(name.kind.label): the checksum file beside it doesn't match"))
                }
            } catch {
                let reason = "\(name.kind.label) was left out: \(Self.words(error))"
                reasons.append(reason)
                notes.append(Self.surprise(reason))
            }
        }
        parts.sort { $0.name.kind.rawValue < $1.name.kind.rawValue }
        let sampled = parts.filter { $0.name.kind.isSampled && $0.file.records > 0 }
        guard let first = sampled.first else {
            throw .damaged(reasons.isEmpty ? "no file of the session has samples" : reasons.joined(separator: "; "))
        }
        start = first.file.header.start ?? first.file.edf.start
        startText = first.file.edf.startText
        serial = first.file.header.serial
        platform = first.file.header.platform
        variant = first.file.header.variant
        waveform = Waveform(channels: [], samples: [])
        if let start, start != first.name.stamp {
            notes.append(
                Self.surprise("the file's name says \(first.name.stamp), its header \(start); the header holds"))
        }
        for part in sampled { add(part) }
        guard !waveform.channels.isEmpty else { throw .damaged("no file of the session has signals") }
        // Oximetry and spans are not written by every machine.
        for kind in [ResmedFileName.Kind.breathing, .statistics, .events] {
            if !parts.contains(where: { $0.name.kind == kind }), !reasons.contains(where: { $0.hasPrefix(kind.label) })
            {
                notes.append(Self.surprise("\(kind.label): there is no such file for this session"))
            }
        }
        for part in parts where !part.name.kind.isSampled { addEvents(part) }
    }

    /// `x_BRP.edf` → `x_BRP.crc`
    static func checksumName(_ name: String) -> String { "\(name.dropLast(4)).crc" }

    private static func surprise(_ text: String, at: Double? = nil, duration: Double? = nil) -> Note {
        Note(kind: .surprise, at: at, duration: duration, text: text)
    }

    private static func words(_ error: ImportError) -> String {
        switch error {
        case .notRecognised: "it is no EDF file"
        case .damaged(let text), .unsupported(let text): text
        case .tree: "it can't be read"
        }
    }

    private mutating func add(_ part: Part) {
        let label = part.name.kind.label
        for text in part.file.surprises { notes.append(Self.surprise("\(label): \(text)")) }
        let seconds = part.file.edf.recordDuration.value
        let runs = part.file.badRuns
        if runs.count > ResmedFile.mostRuns {
            notes.append(Self.surprise("\(label): checksum wrong in \(part.file.badRecords.count) records"))
        }
        for run in runs.prefix(ResmedFile.mostRuns) {
            notes.append(
                Self.surprise(
                    "\(label): checksum wrong, no values taken from here", at: Double(run.lowerBound) * seconds,
                    duration: Double(run.count) * seconds))
        }
        for (channel, samples) in zip(part.file.edf.waveform.channels, part.file.edf.waveform.samples)
        where !channel.name.hasPrefix("Crc16") {
            let channel = ResmedSignal.channel(channel, in: part.name.kind)
            waveform.channels.append(channel)
            waveform.samples.append(samples)
            if channel.signal == .spo2, !samples.isEmpty, samples.allSatisfy({ $0 == .absent }) {
                notes.append(Note(kind: .sensor, text: "no oximeter was connected"))
            }
        }
    }

    private mutating func addEvents(_ part: Part) {
        let label = part.name.kind.label
        for text in part.file.surprises { notes.append(Self.surprise("\(label): \(text)")) }
        if !part.file.badRecords.isEmpty {
            notes.append(
                Self.surprise(
                    "\(label): checksum wrong in \(part.file.badRecords.count) records; their events are left out"))
        }
        guard let start, let own = part.file.header.start ?? part.file.edf.start else {
            notes.append(Self.surprise("\(label): without a start its events can't be placed"))
            return
        }
        notes += ResmedEvents(part.file).notes(
            delay: Double(start.civilSeconds - own.civilSeconds), length: waveform.seconds, label: label)
    }
}

/// `.crc` files (formats.md 3.3): CRC-32 of an EDF's first 256 bytes and of the rest, or of a whole text file; little-endian.
enum ResmedChecksumFile {
    static func matches(_ sum: [UInt8], _ bytes: [UInt8]) -> Bool {
        switch sum.count {
        case 4: sum == little(CRC32.ieee(bytes))
        case 8: sum == little(CRC32.ieee(bytes.prefix(256))) + little(CRC32.ieee(bytes.dropFirst(256)))
        default: false
        }
    }

    static func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
    }
}
