import Clinical

/// The only thing in the tree that erases a device's memory (devices.md 3.8.7). `ContecOximeterCommand` can't say it, and the guard
/// below the driver lets these bytes pass only in a session that a person confirmed.
struct ContecOximeterErasure {
    static let code: UInt8 = 0xAE
    /// Of one user, all segments.
    static func wire(user: UInt8) -> [UInt8] {
        [ContecOximeterCommand.type] + ContecOximeterPacking.packed([code, user, 0xFF, 0, 0, 0, 0])
    }
}

extension ContecOximeterProtocol {
    var isErasure: Bool { if case .erase = goal { true } else { false } }

    /// A question about the memory that stayed without an answer may hide a night; what isn't known isn't erased.
    func hidesMemory(_ step: ContecOximeterQuery.Step, _ outcome: ContecOximeterQuery.Outcome) -> SessionEnd? {
        guard isErasure else { return nil }
        switch (step, outcome) {
        case (.segmentCount, .answered), (.length, .answered): return nil
        case (.length, .refused) where walk.isVerifying: return nil
        // All places that were announced are empty; this one was only a guess.
        case (.length, _) where walk.triedFallback: return nil
        case (.segmentCount, _), (.length, _):
            return .deviceEnded(
                walk.isVerifying ? "no answer after the memory was erased" : "it doesn't say what is in its memory")
        default: return nil
        }
    }

    /// All places are known: nothing goes, or everything.
    mutating func walkedForErasure(at now: UInt64) -> [DialogueAction] {
        guard walk.unspent == 0 else { return finish(.holdsMore(walk.unspent)) }
        guard case .erase(_, isConfirmed: true) = goal, !walk.spent.isEmpty else { return finish(.done) }
        walk.erasing = Set(walk.spent.map(\.user)).sorted()
        return eraseNext(at: now)
    }

    mutating func eraseNext(at now: UInt64) -> [DialogueAction] {
        guard let user = walk.erasing.first else {
            walk.isVerifying = true
            for place in walk.spent { conversation.facts[place]?.bytes = nil }
            return verify(at: now)
        }
        walk.erasing.removeFirst()
        phase = .erasing(user)
        return [.send(ContecOximeterErasure.wire(user: user))] + wait(ContecOximeterTiming.erase, at: now)
    }

    mutating func erasureAnswered(_ answer: ContecOximeterFrame, at now: UInt64) -> [DialogueAction] {
        // Some answer with the code without its high bit (devices.md 3.5, rule 5).
        guard case .feedback(let command, let reason) = answer, command | 0x80 == ContecOximeterErasure.code else {
            return []
        }
        guard reason == ContecOximeterReason.done.rawValue else {
            return finish(.deviceEnded("erase: \(ContecOximeterReason.text(reason))"))
        }
        return eraseNext(at: now)
    }

    /// "Done" is a word: each place that held something is asked for its length again.
    private mutating func verify(at now: UInt64) -> [DialogueAction] {
        guard let place = walk.spent.first else { return finish(.done) }
        return ask(.length(place), at: now)
    }

    mutating func verified(at now: UInt64) -> [DialogueAction] {
        let place = walk.spent.removeFirst()
        guard conversation.facts[place]?.bytes ?? 0 == 0 else {
            return finish(.deviceEnded("the memory isn't empty after it was erased"))
        }
        return verify(at: now)
    }
}
