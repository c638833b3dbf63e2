import Clinical

/// The scored events of an EVE or CSL file (devices.md 4.6).
struct ResmedEvents {
    /// More than one every three seconds of a night: the rest is counted, not kept.
    static let limit = 10_000

    struct Event: Equatable {
        /// The END of the event, seconds from the file's own start: what the machine calls its onset.
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

    var events: [Event] = []

    init(_ file: ResmedFile) {
        for note in file.annotations {
            guard let end = note.at, !note.text.lowercased().hasPrefix("recording starts") else { continue }
            events.append(Event(end: end, duration: max(0, note.duration ?? 0), text: note.text))
        }
    }

    /// Apnoeas and hypopnoeas.
    var scored: Int { events.count { $0.isScored } }

    /// Notes for one session, with the session's first sample at 0. Events that end outside it are counted in a note.
    /// - Parameters:
    ///   - delay: seconds from this file's start to the session's.
    ///   - length: of the session, seconds.
    func notes(delay: Double, length: Double, label: String) -> [Note] {
        var notes: [Note] = []
        var outside = 0
        for event in events {
            let end = event.end - delay
            guard end >= 0, end <= length else {
                outside += 1
                continue
            }
            guard notes.count < Self.limit else { continue }
            notes.append(
                Note(
                    kind: .event, at: end - event.duration, duration: event.duration > 0 ? event.duration : nil,
                    text: event.text))
        }
        let dropped = events.count - outside - notes.count
        if outside > 0 {
            notes.append(Note(kind: .surprise, text: "\(label): \(outside) events outside the session were left out"))
        }
        if dropped > 0 { notes.append(Note(kind: .surprise, text: "\(label): \(dropped) more events were not kept")) }
        return notes
    }
}
