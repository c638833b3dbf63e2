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
            guard let name = ResmedFileName(text), name.kind.isSampled || name.kind.isAnnotated,
                name.kind != .ventilation
            else { continue }
            do throws(ImportError) {
                let file = try ResmedFile(bytes)
                parts.append(Part(name: name, file: file))
                // Copies of cards lose the case of names.
                let sumName = Self.checksumName(text).lowercased()
                if let sum = files.first(where: { $0.name.lowercased() == sumName })?.bytes,
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
        parts.sort {
            ($0.name.kind.rawValue, $0.name.stamp?.civilSeconds ?? 0)
                < ($1.name.kind.rawValue, $1.name.stamp?.civilSeconds ?? 0)
        }
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
        if let start, let stamp = first.name.stamp, start != stamp {
            notes.append(Self.surprise("the file's name says \(stamp), its header \(start); the header holds"))
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
        addEvents(parts.filter { !$0.name.kind.isSampled })
    }

    /// One file by itself, whatever it is called.
    init(_ file: ResmedFile) {
        let channels = file.edf.waveform.channels.filter { !$0.name.hasPrefix("Crc16") }
        start = file.header.start ?? file.edf.start
        startText = file.edf.startText
        (serial, platform, variant) = (file.header.serial, file.header.platform, file.header.variant)
        waveform = Waveform(channels: [], samples: [])
        notes = []
        // The statistics of days (STR) have much of each.
        let kind = file.header.recordSeconds < 86_400 ? ResmedSignal.kind(of: channels) : .unknown
        guard kind == .events else {
            add(Part(name: ResmedFileName(kind: kind, stamp: start), file: file))
            if file.records == 0 { notes.append(Self.surprise("the file has no records: nothing was recorded")) }
            return
        }
        for text in file.surprises { notes.append(Self.surprise("EVE: \(text)")) }
        notes += ResmedEvents(file).notes(length: .infinity, label: kind.label)
    }

    /// What `ResmedCard.identity` says, of the session's files; nil when none has samples. Reads headers and events, no samples.
    static func identity(of files: [(name: String, bytes: [UInt8])]) -> [UInt8]? {
        var identity: [UInt8] = []
        var start: LocalTime?
        var length = 0.0
        var others: [(name: ResmedFileName, bytes: [UInt8])] = []
        // A checksum file says nothing that the bytes don't.
        let named = files.compactMap { text, bytes in
            ResmedFileName(text).map { (name: $0, text: Self.canonicalName(text), bytes: bytes) }
        }
        for (name, text, bytes) in named.sorted(by: { $0.text < $1.text }) {
            guard name.kind.isSampled else {
                others.append((name, bytes))
                continue
            }
            identity += Array("\(text) \(bytes.count)\n".utf8) + bytes
            guard let header = ResmedHeader(bytes), let own = header.start else { continue }
            start = start ?? own
            length = max(length, header.records < 0 ? .infinity : Double(header.records) * header.recordSeconds)
        }
        guard !identity.isEmpty else { return nil }
        for kind in [ResmedFileName.Kind.events, .spans, .ventilation, .unknown] {
            var events = ResmedEvents()
            for (name, bytes) in others where name.kind == kind {
                if kind.isAnnotated, let start, let file = try? ResmedFile(bytes),
                    let own = file.header.start ?? file.edf.start
                {
                    events.add(file, delay: Double(start.civilSeconds - own.civilSeconds))
                } else {
                    identity += Array("\(name.suffix) \(bytes.count)\n".utf8) + bytes
                }
            }
            let lines = events.inside(length).map { "\(kind.label) \($0.end) \($0.duration) \($0.text)\n" }
            identity += lines.sorted().flatMap { Array($0.utf8) }
        }
        return identity
    }

    /// As the machine writes it: copies of cards lose the case of names. `x_brp.EDF` → `x_BRP.edf`
    private static func canonicalName(_ name: String) -> String { "\(name.dropLast(4).uppercased()).edf" }

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
            var channel = ResmedSignal.channel(channel, in: part.name.kind)
            // SAD beside SA2: what has no value adds nothing, and what has is told apart.
            if waveform.channels.contains(where: { $0.name == channel.name }) {
                if samples.allSatisfy({ $0 == .absent }) { continue }
                channel.name = String("\(channel.name.prefix(12)) \(part.name.suffix)".prefix(16))
            }
            waveform.channels.append(channel)
            waveform.samples.append(samples)
            if channel.signal == .spo2, !samples.isEmpty, samples.allSatisfy({ $0 == .absent }) {
                notes.append(Note(kind: .sensor, text: "no oximeter was connected"))
            }
        }
    }

    /// A day has one file of events for all of its sessions, or one for each, or two (devices.md 4.6): of all of them that began before
    /// this session ended, what lies in the session.
    private mutating func addEvents(_ parts: [Part]) {
        for kind in [ResmedFileName.Kind.events, .spans] {
            var events = ResmedEvents()
            for part in parts where part.name.kind == kind {
                let label = kind.label
                for text in part.file.surprises { notes.append(Self.surprise("\(label): \(text)")) }
                if !part.file.badRecords.isEmpty {
                    let count = part.file.badRecords.count
                    notes.append(
                        Self.surprise("\(label): checksum wrong in \(count) records; their events are left out"))
                }
                guard let start, let own = part.file.header.start ?? part.file.edf.start else {
                    notes.append(Self.surprise("\(label): without a start its events can't be placed"))
                    continue
                }
                events.add(part.file, delay: Double(start.civilSeconds - own.civilSeconds))
            }
            notes += events.notes(length: waveform.seconds, label: kind.label)
        }
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
