/// What the audit trail calls things, so that it can be searched; whoever does something that the store doesn't see
/// (exports, looks at an identity) uses these words.
public enum AuditAction {
    public static let openVisit = "visit.open"
    public static let closeVisit = "visit.close"
    public static let purgeIdentity = "visit.purge-identity"
    public static let viewIdentity = "identity.view"
    public static let export = "recording.export"
    public static let attribute = "recording.attribute"
    public static let bindByLoan = "recording.bind-by-loan"
    public static let hold = "recording.hold"
    public static let leaveUnattributed = "recording.leave-unattributed"
    public static let purge = "recording.purge"
    public static let lend = "loan.give"
    public static let takeBack = "loan.return"
    public static let rotateKey = "key.rotate"
    public static let backUp = "store.backup"
    public static let restore = "store.restore"
    /// A damaged file's readable rows were copied into a new one; details: rows lost, by table.
    public static let repair = "store.repair"
    public static let changeConfiguration = "configuration.change"
    /// A person said what is at a port.
    public static let identifyPort = "device.identify"
    /// A person confirmed that a device's memory is to be erased; written before the command goes.
    public static let eraseDevice = "device.erase"
    /// What became of it.
    public static let endErasure = "device.erase-ended"
    public static let loseReceipt = "document.receipt-lost"
    /// A chain that didn't hold was resealed under a new key because a person insisted.
    public static let brokenTrail = "audit.was-broken"
}
