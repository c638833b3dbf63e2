/// What a file of another device's says of its place in an examination, beside its patient. Sealed where it is stored: UIDs are
/// pseudonyms, descriptions are whatever an operator typed.
public struct StudyObject: Sendable, Equatable, Codable {
    /// Study Instance UID; nil where the file has none.
    public var study: String?
    public var series: String?
    /// SOP Class UID.
    public var objectClass: String?
    public var transferSyntax: String?
    /// `US`, `SR`, `ECG`, …
    public var modality: String?
    public var studyDescription: String?
    public var seriesDescription: String?
    public var frames: Int?
    public var rows: Int?
    public var columns: Int?
    /// The file says whether a name is drawn in its pixels; nil when it doesn't say: then it may be.
    public var burnedIn: Bool?
    /// Elements of manufacturers' own, which may repeat the patient's name.
    public var privateElements: Int
    /// The file ends before what it announces.
    public var isTruncated: Bool

    public init(
        study: String? = nil, series: String? = nil, objectClass: String? = nil, transferSyntax: String? = nil,
        modality: String? = nil, studyDescription: String? = nil, seriesDescription: String? = nil, frames: Int? = nil,
        rows: Int? = nil, columns: Int? = nil, burnedIn: Bool? = nil, privateElements: Int = 0,
        isTruncated: Bool = false
    ) {
        self.study = study
        self.series = series
        self.objectClass = objectClass
        self.transferSyntax = transferSyntax
        self.modality = modality
        self.studyDescription = studyDescription
        self.seriesDescription = seriesDescription
        self.frames = frames
        self.rows = rows
        self.columns = columns
        self.burnedIn = burnedIn
        self.privateElements = privateElements
        self.isTruncated = isTruncated
    }
}
