public import Clinical
public import Wire

/// A file on a card that an importer recognised by its content.
public struct ImportItem: Sendable, Equatable {
    public var path: [String]
    /// Bytes.
    public var size: Int

    public init(path: [String], size: Int) {
        self.path = path
        self.size = size
    }
}

/// One recording as read from a file: decoded, beside its original bytes.
public struct ImportedRecording: Sendable, Equatable {
    public var modality: Recording.Modality
    public var device: DeviceIdentity
    public var waveform: Waveform
    public var original: [UInt8]
    /// The start as the file says it.
    public var start: LocalTime?
    public var rawStart: String?
    public var claim: IdentityClaim?
    public var notes: [Note]

    public init(
        modality: Recording.Modality, device: DeviceIdentity, waveform: Waveform, original: [UInt8], start: LocalTime?,
        rawStart: String?, claim: IdentityClaim?, notes: [Note]
    ) {
        self.modality = modality
        self.device = device
        self.waveform = waveform
        self.original = original
        self.start = start
        self.rawStart = rawStart
        self.claim = claim
        self.notes = notes
    }
}

/// Why a file can't be imported. The text says what is wrong with it, in English, without any identity.
public enum ImportError: Error, Equatable, Sendable {
    /// Not this importer's kind of file.
    case notRecognised
    /// It is, but it is damaged.
    case damaged(String)
    case tree(TreeError)
}

/// A kind of card, stick or vendor file. Pure over a `Tree`; blocking, never on the cooperative pool.
public protocol Importer: Sendable {
    /// Also the folder's and the fixtures' name: `contec-ecg-files`.
    var name: String { get }
    /// For people.
    var title: String { get }
    var support: SupportLevel { get }
    /// Files of this kind in the tree, recognised by content, never by name alone; in a stable order.
    func find(in tree: any Tree) throws(TreeError) -> [ImportItem]
    func read(_ item: ImportItem, from tree: any Tree) throws(ImportError) -> ImportedRecording
    /// Decodes one file's bytes; `.notRecognised` when it is of another kind.
    func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording
}
