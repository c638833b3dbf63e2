import Clinical
import FoundationEssentials
import Wire

/// `Identification.json` (AirSense 11) or `Identification.tgt` (S9, AirSense 10): which machine the card belongs to
/// (devices.md 4.1).
struct ResmedIdentification: Equatable {
    /// More than any such file has.
    static let sizeLimit = 64 << 10

    var serial: String?
    /// `AirSense 10 AutoSet`
    var product: String?
    var productCode: String?
    var software: String?

    /// The first that can be trusted among a card's files.
    static func find(among paths: [[String]], in tree: any Tree) -> ResmedIdentification? {
        func file(_ name: String, limit: Int = sizeLimit) -> [UInt8]? {
            paths.first { $0.last?.uppercased() == name }.flatMap { try? tree.read($0, limit: limit) }
        }
        if let bytes = file("IDENTIFICATION.JSON") {
            guard file("IDENTIFICATION.CRC", limit: 16).map({ ResmedChecksumFile.matches($0, bytes) }) ?? true else {
                return nil
            }
            return ResmedIdentification(json: bytes)
        }
        return file("IDENTIFICATION.TGT").map { ResmedIdentification(lines: $0) }
    }

    /// Text lines `#KEY value`, values with `_` for spaces.
    init(lines bytes: [UInt8]) {
        for line in String(decoding: bytes.prefix(Self.sizeLimit), as: UTF8.self).split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ", maxSplits: 1)
            guard words.count == 2 else { continue }
            let value = words[1].split(separator: " ").joined(separator: " ")
            guard !value.isEmpty else { continue }
            switch words[0] {
            case "#SRN": serial = value
            case "#PNA": product = String(value.map { $0 == "_" ? " " : $0 })
            case "#PCD": productCode = value
            case "#SID": software = value
            default: continue
            }
        }
    }

    /// Nil when it is no JSON of that shape.
    init?(json bytes: [UInt8]) {
        struct Root: Decodable {
            struct Generator: Decodable { var IdentificationProfiles: Profiles }
            struct Profiles: Decodable {
                var Product: Product?
                var Software: Software?
            }
            struct Product: Decodable {
                var SerialNumber: String?
                var ProductCode: String?
                var ProductName: String?
            }
            struct Software: Decodable { var ApplicationIdentifier: String? }
            var FlowGenerator: Generator
        }
        guard bytes.count <= Self.sizeLimit, let root = try? JSONDecoder().decode(Root.self, from: Data(bytes)) else {
            return nil
        }
        let profiles = root.FlowGenerator.IdentificationProfiles
        serial = profiles.Product?.SerialNumber
        product = profiles.Product?.ProductName.map { String($0.map { $0 == "_" ? " " : $0 }) }
        productCode = profiles.Product?.ProductCode
        software = profiles.Software?.ApplicationIdentifier
    }
}
