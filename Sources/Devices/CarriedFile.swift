public import Clinical

/// A file that is carried byte for byte, however large: what is known of it without reading it whole.
public struct CarriedFile: Sendable, Equatable {
    public var modality: Recording.Modality
    public var device: DeviceIdentity
    public var mediaType: String
    /// The start as the file says it.
    public var start: LocalTime?
    public var rawStart: String?
    public var claim: IdentityClaim?
    /// What the file calls itself, everywhere and for ever (SOP Instance UID); nil where it has no name that can be relied on.
    public var objectID: String?
    public var study: StudyObject?
    public var notes: [Note]

    public init(
        modality: Recording.Modality, device: DeviceIdentity, mediaType: String, start: LocalTime? = nil,
        rawStart: String? = nil, claim: IdentityClaim? = nil, objectID: String? = nil, study: StudyObject? = nil,
        notes: [Note] = []
    ) {
        self.modality = modality
        self.device = device
        self.mediaType = mediaType
        self.start = start
        self.rawStart = rawStart
        self.claim = claim
        self.objectID = objectID
        self.study = study
        self.notes = notes
    }
}
