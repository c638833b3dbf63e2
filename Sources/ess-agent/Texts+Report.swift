import Formats

extension Texts {
    static let measurementHeader = ["MESURE", "VALEUR", "UNITÉ", "SITE", "MÉTHODE", "ORIGINE", "ÉTAT"]

    /// A row of a structured report; what an algorithm measured says so.
    static func measurement(_ measurement: DicomReport.Measurement) -> [String] {
        let algorithm = measurement.algorithm.map { algorithm in
            "IA \([algorithm.name, algorithm.version].compactMap { $0 }.joined(separator: " "))"
        }
        return [
            "\(measurement.name.meaning) (\(measurement.name.scheme) \(measurement.name.value))", measurement.value,
            measurement.unit?.value ?? "-", measurement.findingSite?.meaning ?? "-",
            measurement.method?.meaning ?? measurement.imageMode?.meaning ?? "-", algorithm ?? "opérateur",
            measurement.isVerified ? "vérifié" : "non vérifié",
        ]
    }
}
