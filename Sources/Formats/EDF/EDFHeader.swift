public import Clinical

/// What an EDF+ file says beside its samples. Everything may be missing; nothing is invented.
public struct EDFHeader: Sendable, Equatable {
    /// The code by which the patient is known where the file goes; at most 64 characters (never cut: a cut code could be
    /// another patient's).
    public var patientCode: String?
    public var sex: Sex
    /// `1938-04-12`
    public var birthDate: String?
    public var name: String?
    /// Nil when nobody knows: the file then says `Startdate X` and 01.01.85 00.00.00, EDF's way of saying so.
    public var start: LocalTime?
    public var administrationCode: String?
    public var equipment: String
    /// The file then says so in its patient field, its recording field and its first annotation.
    public var simulated: Bool

    public init(
        patientCode: String?, sex: Sex, birthDate: String?, name: String?, start: LocalTime?,
        administrationCode: String?, equipment: String, simulated: Bool
    ) {
        self.patientCode = patientCode
        self.sex = sex
        self.birthDate = birthDate
        self.name = name
        self.start = start
        self.administrationCode = administrationCode
        self.equipment = equipment
        self.simulated = simulated
    }

    /// The word in the header fields of a file that never came from a patient.
    static let simulatedMark = "SIMULATED"
    static let simulatedNote = "SIMULATED DATA: not from a patient"
    static let interruptedNote = "recording interrupted"

    /// The start, if EDF's two-digit year can say it (1985 to 2084).
    var writableStart: LocalTime? { start.flatMap { (1985...2084).contains($0.year) ? $0 : nil } }

    /// `code sex birthdate name`, at most 80 characters; the name is what gets cut.
    func patientField() throws(EncodeError) -> String {
        let code = EDFText.subfield(patientCode)
        guard code.utf8.count <= 64 else {
            throw .cannotRepresent("the patient code is longer than the 64 characters that an EDF+ header has for it")
        }
        let letter =
            switch sex {
            case .female: "F"
            case .male: "M"
            case .unknown: "X"
            }
        let start = "\(code) \(letter) \(EDFText.birthDate(birthDate)) "
        var room = 80 - start.utf8.count
        var end = ""
        if simulated, room > Self.simulatedMark.utf8.count + 1 {
            end = " \(Self.simulatedMark)"
            room -= end.utf8.count
        }
        return start + EDFText.subfield(name).prefix(room) + end
    }

    /// `Startdate date admincode technician equipment`, at most 80 characters; equipment, then code get cut.
    func recordingField() -> String {
        let date = writableStart.map { EDFText.date(year: $0.year, month: $0.month, day: $0.day) } ?? "X"
        let end = simulated ? " \(Self.simulatedMark)" : ""
        let begin = "Startdate \(date) "
        let room = 80 - begin.utf8.count - end.utf8.count - " X ".utf8.count
        let code = EDFText.subfield(administrationCode).prefix(room - 1)
        return begin + code + " X " + EDFText.subfield(equipment).prefix(room - code.utf8.count) + end
    }
}
