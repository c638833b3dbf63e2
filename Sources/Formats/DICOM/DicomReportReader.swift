import Clinical

/// Walks a report's tree: what a container says (site, mode, method, who observed) holds for everything in it until an inner
/// node says otherwise.
struct DicomReportReader {
    /// More values than any examination has.
    private static let limit = 10_000

    private var isVerified: Bool
    private(set) var measurements: [DicomReport.Measurement] = []
    private(set) var notes: [Note] = []
    private var places: [Key: Int] = [:]

    private struct Key: Hashable {
        var name: DicomReport.Code
        var value: String
        var modifiers: [DicomReport.Code?]
        var algorithm: DicomReport.Algorithm?
    }

    private struct Context {
        var site: DicomReport.Code?
        var method: DicomReport.Code?
        var mode: DicomReport.Code?
        var view: DicomReport.Code?
        var derivation: DicomReport.Code?
        var isSelected = false
        /// Nil while a person observes.
        var algorithm: DicomReport.Algorithm?
    }

    init(isVerified: Bool) { self.isVerified = isVerified }

    /// - Parameter device: what the header says of the machine, for an observer that names no algorithm.
    mutating func read(_ content: [DicomDataset], device: DicomReport.Algorithm) {
        walk(content, Context(), device)
    }

    static func code(_ items: [DicomDataset]) -> DicomReport.Code? {
        guard let item = items.first, let value = item.text(DicomTag.codeValue) ?? item.text(DicomTag.longCodeValue)
        else { return nil }
        return DicomReport.Code(
            value: value, scheme: item.text(DicomTag.codingScheme) ?? "", meaning: item.text(DicomTag.codeMeaning) ?? ""
        )
    }

    private mutating func walk(_ content: [DicomDataset], _ outer: Context, _ device: DicomReport.Algorithm) {
        // All of a node's modifiers hold for all of its values, wherever they stand.
        var context = outer
        for node in content { Self.modify(&context, node, device) }
        for node in content {
            let children = node.items(DicomTag.content)
            switch node.text(DicomTag.valueType) {
            case "NUM": number(node, children, context, device)
            case "CONTAINER": walk(children, context, device)
            default: continue
            }
        }
    }

    /// Concepts of both generations of SNOMED codes (formats.md 2.4).
    private static func modify(_ context: inout Context, _ node: DicomDataset, _ device: DicomReport.Algorithm) {
        guard let name = code(node.items(DicomTag.conceptName)) else { return }
        let value = code(node.items(DicomTag.conceptCode))
        let text = node.text(DicomTag.textValue)
        switch name.value {
        case "363698007", "G-C0E3": context.site = value
        case "370129005", "G-C036": context.method = value
        case "399264008", "G-0373": context.mode = value
        case "111031", "399067008", "G-A22C": context.view = value
        case "121401": context.derivation = value
        case "121404": context.isSelected = true
        case "121005":
            // 121006 is a person, 121007 a device.
            context.algorithm = value?.value == "121007" ? context.algorithm ?? device : nil
        case "111001": set(&context, device) { $0.name = text ?? value?.meaning }
        case "111003": set(&context, device) { $0.version = text }
        case "111000": set(&context, device) { $0.family = value?.meaning ?? text }
        case "122405": set(&context, device) { $0.manufacturer = text }
        default: return
        }
    }

    /// Whoever names an algorithm doesn't mean the machine's own name and version.
    private static func set(
        _ context: inout Context, _ device: DicomReport.Algorithm, _ change: (inout DicomReport.Algorithm) -> Void
    ) {
        var algorithm = context.algorithm ?? DicomReport.Algorithm()
        if algorithm == device { algorithm = DicomReport.Algorithm() }
        change(&algorithm)
        context.algorithm = algorithm
    }

    private mutating func number(
        _ node: DicomDataset, _ children: [DicomDataset], _ outer: Context, _ device: DicomReport.Algorithm
    ) {
        var context = outer
        for child in children { Self.modify(&context, child, device) }
        guard let name = Self.code(node.items(DicomTag.conceptName)) else { return }
        guard let measured = node.items(DicomTag.measuredValue).first, let value = measured.text(DicomTag.numericValue)
        else {
            if notes.count < 100 {
                notes.append(Note(kind: .surprise, text: "\(name.scheme) \(name.value): no value in the report"))
            }
            return
        }
        guard measurements.count < Self.limit else { return }
        let modifiers = children.filter { $0.text(DicomTag.valueType) == "CODE" }
            .compactMap { Self.code($0.items(DicomTag.conceptCode)) }
        let unit = Self.code(measured.items(DicomTag.measurementUnits))
        // A machine repeats each value, once with and once without the mark that it is the one to use.
        let key = Key(
            name: name, value: value,
            modifiers: [unit, context.site, context.method, context.mode, context.view, context.derivation],
            algorithm: context.algorithm)
        if let place = places[key] {
            if context.isSelected { measurements[place].isSelected = true }
            return
        }
        places[key] = measurements.count
        measurements.append(
            DicomReport.Measurement(
                name: name, value: value, unit: unit, findingSite: context.site, method: context.method,
                imageMode: context.mode, view: context.view, derivation: context.derivation, modifiers: modifiers,
                algorithm: context.algorithm, isVerified: isVerified, isSelected: context.isSelected))
    }
}
