import Clinical

/// The scored events of an EVE or CSL file (devices.md 4.6).
struct ResmedEvents {
    /// More than one every three seconds of a night: the rest is counted, not kept.
    static let limit = 10_000

    struct Event: Hashable {
        /// The END of the event, seconds: what the machine calls its onset.
        var end: Double
        var duration: Double
        /// In the machine's words.
        var text: String

        /// What an apnoea-hypopnoea index counts.
        var isScored: Bool {
            let text = text.lowercased()
            return ["obstructive apnea", "central apnea", "apnea", "hypopnea"].contains { text.hasPrefix($0) }
        }
    }

    /// A session is whole minutes, and the mask was on for some seconds more (devices.md 4.5).
    static let tail = 60.0

    /// In the order of the files.
    private(set) var events: [Event] = []
    /// A day's events may stand in two of its files.
    private var known: Set<Event> = []

    init() {}

    init(_ file: ResmedFile) { add(file, delay: 0) }

    /// Adds those of a file that are new.
    /// - Parameter delay: seconds from this file's start to the moment from which the events are counted.
    mutating func add(_ file: ResmedFile, delay: Double) {
        for note in file.annotations {
            guard let end = note.at, !note.text.lowercased().hasPrefix("recording starts") else { continue }
            let event = Event(end: end - delay, duration: max(0, note.duration ?? 0), text: note.text)
            if known.insert(event).inserted { events.append(event) }
        }
    }

    /// Apnoeas and hypopnoeas.
    var scored: Int { events.count { $0.isScored } }

    /// Those of one session, which is from 0 to its length: a file may hold a whole day's, for all sessions of the day.
    func inside(_ length: Double) -> [Event] { events.filter { (0...length + Self.tail).contains($0.end) } }

    /// Notes for one session.
    func notes(length: Double, label: String) -> [Note] {
        let inside = inside(length)
        var notes = inside.prefix(Self.limit).map {
            Note(
                kind: .event, at: $0.end - $0.duration, duration: $0.duration > 0 ? $0.duration : nil, text: $0.text)
        }
        if inside.count > notes.count {
            let text = "\(label): \(inside.count - notes.count) more events were not kept"
            notes.append(Note(kind: .surprise, text: text))
        }
        return notes
    }
}
