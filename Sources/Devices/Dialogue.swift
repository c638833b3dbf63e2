public import Clinical
public import Wire

/// What a session with a device is for.
public enum SessionGoal: Sendable, Equatable {
    /// Read-only: find out whether this is the device, and which one.
    case identify
    /// Stream until told to stop.
    case live
    /// Fetch everything in the device's memory, except what is known: recordings by `StoredItem.source`, measurements by
    /// `Reading.mark`.
    case download(known: KnownItems)
    /// Look through the memory; when every recording in it is one that `received` names (`StoredItem.source`), and a person
    /// has confirmed it, erase it. Each recording that is found there and named is told by `skipped`.
    case erase(received: Set<String>, isConfirmed: Bool)
}

/// Something in a device's memory.
public struct StoredItem: Sendable, Equatable {
    /// Names this recording wherever it is met again: driver, device serial, memory place, the device's own start time
    /// and length, and where these may be the same for another recording a `ContentMark`. No identity in it.
    public var source: String
    /// The device's clock; nil when it has none (the nurse is asked).
    public var start: LocalTime?
    /// The date and time bytes as the device sent them, as text.
    public var rawStart: String?
    /// Samples per channel that the device announced.
    public var samples: Int
    /// Several people's measurements are in the memory, or it was not read to the end: whose this is, only a person can say.
    public var isShared: Bool
    /// When what was recorded in one piece ended, or the last of several measurements was made that have no `times`; by the device's
    /// clock. Nil where nobody knows.
    public var last: LocalTime?
    /// Of several measurements: when each one was made, by the device's clock.
    public var times: [LocalTime] = []
    /// Of a device that counts and has no calendar: seconds since it was measured, when it is told.
    public var ago: Int?

    public init(
        source: String, start: LocalTime?, rawStart: String?, samples: Int, isShared: Bool = false,
        last: LocalTime? = nil, ago: Int? = nil
    ) {
        self.source = source
        self.start = start
        self.rawStart = rawStart
        self.samples = samples
        self.isShared = isShared
        self.last = last
        self.ago = ago
    }
}

extension DeviceIdentity {
    /// What names the device inside `StoredItem.source`. Two of one model that say no serial number can't be told apart.
    var sourceName: String { Self.sourceName(serial ?? model) }

    static func sourceName(_ name: String) -> String {
        String(name.map { $0 == "/" || $0 == " " || $0 == ContentMark.separator ? "_" : $0 })
    }
}

/// What a recording is, said before its first sample.
public struct RecordingStart: Sendable, Equatable {
    public var kind: Recording.Kind
    public var modality: Recording.Modality
    public var channels: [Channel]
    /// Nil for a live stream.
    public var item: StoredItem?
    /// Which of the people that the device keeps apart this is of. Single values are the open visit's when the session ends and nobody
    /// else's came: of a couple at home, either may have been the first.
    public var person: Int?

    public init(
        kind: Recording.Kind, modality: Recording.Modality, channels: [Channel], item: StoredItem? = nil,
        person: Int? = nil
    ) {
        self.kind = kind
        self.modality = modality
        self.channels = channels
        self.item = item
        self.person = person
    }
}

/// How a session ended, from the driver's side.
public enum SessionEnd: Sendable, Equatable {
    /// The goal was reached.
    case done
    /// It answered, but it isn't what this driver speaks, or it did not answer at all.
    case notThisDevice
    /// The device is recording by itself: the nurse must end that first.
    case busyRecording
    /// Nothing was erased: so many recordings in the memory are not among those that may go.
    case holdsMore(Int)
    /// The device said that it is going (switched off, changing user), or fell silent.
    case deviceEnded(String)
}

/// What a driver wants done; the pump executes it (one pump for all devices, in `Agent`).
public enum DialogueAction: Sendable, Equatable {
    /// On a serial line any bytes; on HID one output report; on bulk one transfer.
    case send([UInt8])
    /// A USB control transfer whose answer is of no interest (HID SET_REPORT).
    case control(ControlRequest)
    /// The device begins anew as if it had been plugged in again (`Port.renew`), where the line can do that and the pump
    /// lets it: of the probes of one device only the first that asks for it.
    case renew
    case identify(DeviceIdentity)
    /// A recording begins: the pump mints its identity before any later byte.
    case begin(RecordingStart)
    /// Samples of the recording that began last.
    case append(Block)
    /// A value of the recording that began last, which has no channels then.
    case reading(Reading)
    case note(Note)
    /// What the device's own clock shows at this moment: tells how wrong it is (`ClockFacts.deviceNow`).
    case deviceClock(LocalTime)
    /// The recording that began last is over.
    case end(Recording.EndReason)
    /// An item that `known` named was left alone; `received` named it, where the memory is to be erased.
    case skipped(StoredItem)
    /// Call `timerFired` after this time unless asked anew; one timer per session, the last one counts.
    case ask(Duration)
    /// A value never seen before; collected, not fatal.
    case surprise(String)
    /// The last action of a session.
    case finish(SessionEnd)
}

/// A driver's state machine: pure, no clock, no I/O. Times are the host's monotonic nanoseconds.
public protocol Dialogue: Sendable {
    mutating func start(at now: UInt64) -> [DialogueAction]
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction]
    /// The same where a device has several ways in; whoever doesn't care has no need of it.
    mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction]
    mutating func timerFired(at now: UInt64) -> [DialogueAction]
    /// A person ends the session: leads to `end` and `finish` within a second.
    mutating func stop(at now: UInt64) -> [DialogueAction]
    /// The cable is gone: closes what is open; nothing can be sent any more.
    mutating func gone(at now: UInt64) -> [DialogueAction]
    /// The last actions were not carried out to their end, because something could not be kept. What is to be sent now so
    /// that the device keeps its own copy; nothing comes after it.
    mutating func unkept(at now: UInt64) -> [[UInt8]]
}

extension Dialogue {
    public mutating func unkept(at now: UInt64) -> [[UInt8]] {
        stop(at: now).compactMap { if case .send(let bytes) = $0 { bytes } else { nil } }
    }

    public mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction] {
        received(bytes, at: now)
    }
}

/// A driver's ears without its mouth: understands a conversation that somebody else leads, for `replay`.
/// Emits everything but `send` and `ask`.
public protocol Listener: Sendable {
    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction]
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction]
    /// The same where a device has several ways in.
    mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction]
    mutating func ended(at now: UInt64) -> [DialogueAction]
}

extension Listener {
    public mutating func received(_ bytes: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [DialogueAction] {
        received(bytes, at: now)
    }
}

/// How udev recognises a candidate. A candidate is never more than that: the probe decides.
public struct UdevMatch: Sendable, Hashable {
    /// `tty`, `usb`, `hidraw`.
    public var subsystem: String
    /// Lower-case hexadecimal, four digits, as udev writes them; nil when `interface` decides.
    public var vendorID: String?
    public var productID: String?
    /// Class, subclass and protocol of an interface, six digits, as in udev's `ID_USB_INTERFACES`: `0f0000`.
    public var interface: String?

    public init(subsystem: String, vendorID: String, productID: String) {
        self.subsystem = subsystem
        self.vendorID = vendorID
        self.productID = productID
    }

    /// Any USB device with such an interface.
    public init(interface: String) {
        subsystem = "usb"
        self.interface = interface
    }
}

/// How a driver's bytes travel.
public enum Transport: Sendable, Hashable {
    /// The kernel's tty.
    case serial(SerialLine)
    /// libusb, the kernel's driver detached meanwhile.
    case usb(USBShape)
}

/// Everything that the rest of the agent needs to know about a device that is talked to.
public struct DialogueProfile: Sendable {
    /// Also the folder's and the fixtures' name: `contec-oximeter`.
    public var name: String
    /// For people: `Contec CMS50 pulse oximeter (protocol V7)`.
    public var title: String
    public var support: SupportLevel
    /// By what tells them apart for a nurse: `CMS50F`.
    public var models: [String]
    /// What the device offers and we read, in a few words each; the folder's CHECKLIST has all of it.
    public var reads: [String]
    /// What it offers and we leave.
    public var leaves: [String]
    /// Where a probe looks for it by itself.
    public var matches: [UdevMatch]
    /// Where nothing may be sent before a person has said that it is this device: its identity is another's as well, and
    /// nobody knows what that one would do with the probe (devices.md 7.2).
    public var choices: [UdevMatch]
    public var transport: Transport
    /// Byte sequences that must never reach the device (erase, firmware), with the reason; `Ports.Guard` enforces them
    /// below the driver. A sequence matches anywhere in a write; `nil` is any byte.
    public var forbidden: [ForbiddenBytes]
    /// The one of `forbidden` that a confirmed `SessionGoal.erase` needs; nil: the device's memory is never erased by us.
    public var erasure: ForbiddenBytes?
    /// What the device can do.
    public var goals: Set<Ability>
    /// The device's other end.
    public var simulation: DeviceSimulation
    public var makeDialogue: @Sendable (SessionGoal) -> any Dialogue
    public var makeListener: @Sendable () -> any Listener

    public enum Ability: String, Sendable, Codable { case live, download, erase }

    public init(
        name: String, title: String, support: SupportLevel, models: [String], reads: [String], leaves: [String] = [],
        matches: [UdevMatch], choices: [UdevMatch] = [], transport: Transport, forbidden: [ForbiddenBytes],
        erasure: ForbiddenBytes? = nil, goals: Set<Ability>, simulation: DeviceSimulation,
        makeDialogue: @escaping @Sendable (SessionGoal) -> any Dialogue,
        makeListener: @escaping @Sendable () -> any Listener
    ) {
        self.name = name
        self.title = title
        self.support = support
        self.models = models
        self.reads = reads
        self.leaves = leaves
        self.matches = matches
        self.choices = choices
        self.transport = transport
        self.forbidden = forbidden
        self.erasure = erasure
        self.goals = goals
        self.simulation = simulation
        self.makeDialogue = makeDialogue
        self.makeListener = makeListener
    }
}
