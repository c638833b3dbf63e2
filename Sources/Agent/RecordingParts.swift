import Clinical
import Devices

/// A memory's measurements of which some were made while another patient's visit was open: whose those are, a person says, and the
/// others are the open visit's. So they become several recordings, each with all bytes of the memory; they begin when the driver has said
/// everything, which it does at once (`StoredItem.times`).
struct RecordingParts {
    private let start: RecordingStart
    private let parts: [[LocalTime]]
    private var actions: [DialogueAction] = []

    /// - Parameter parts: times of the measurements, all of those in `start`.
    init(_ start: RecordingStart, _ parts: [[LocalTime]]) {
        self.start = start
        self.parts = parts
    }

    /// Keeps it for the parts that it belongs to.
    mutating func take(_ action: DialogueAction) { actions.append(action) }

    var all: [(start: RecordingStart, actions: [DialogueAction])] {
        parts.enumerated().map { index, times in
            var start = start
            start.item?.times = times
            if let first = times.min(), first != start.item?.start {
                start.item?.start = first
                start.item?.rawStart = nil
            }
            if index > 0, let source = start.item?.source { start.item?.source = "\(source)+\(index)" }
            let note = Note(
                kind: .device,
                text:
                    "part \(index + 1) of \(parts.count) of a memory that was read at once: its bytes have the others too"
            )
            return (start, [.note(note)] + actions.filter { belongs($0, index) })
        }
    }

    private func belongs(_ action: DialogueAction, _ index: Int) -> Bool {
        guard case .reading(let reading) = action else { return true }
        guard let at = reading.at else { return index == 0 }
        return parts[index].contains(at)
    }
}
