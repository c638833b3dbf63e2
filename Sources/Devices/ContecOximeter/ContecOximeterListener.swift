import Clinical

/// Understands a conversation that somebody else leads.
struct ContecOximeterListener: Listener {
    private var conversation = ContecOximeterConversation(isListening: true)
    private var commands = ContecOximeterCommandCollector()

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for command in commands.collect(bytes) { actions += conversation.sent(command, at: now) }
        return actions
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        concludeCommand(at: now) + conversation.received(bytes, at: now).actions
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        concludeCommand(at: now) + conversation.ended(at: now)
    }

    /// A command in a short form has no end mark: what the device says next ends it.
    private mutating func concludeCommand(at now: UInt64) -> [DialogueAction] {
        commands.concludeIfWhole().map { conversation.sent($0, at: now) } ?? []
    }
}
