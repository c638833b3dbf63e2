import Devices
import Formats
import Foundation

extension FuzzTarget {
    /// Readers of vendors' files and of the originals that importers make.
    static let cards: [FuzzTarget] = [
        FuzzTarget("easy-ecg-files", fixtures: ["easy-ecg-files"]) { _ = try? EasyEcgFiles().decode($0) },
        // A pause costs no bytes: up to a month of two values a second is filled up.
        FuzzTarget("oximeter-files", fixtures: ["oximeter-files"], heapBeside: 96 << 20) {
            _ = try? OximeterFiles().decode($0)
        },
        FuzzTarget("contec-ecg-files", fixtures: ["contec-ecg-files"], endings: [".ECG"]) {
            _ = try? ContecEcgFiles().decode($0)
        },
        FuzzTarget("resmed-card", made: resmedSession) { _ = try? ResmedCard().decode($0) },
    ]

    private static func resmedSession(_ fixtures: URL) throws -> [[UInt8]] {
        [try Ustar(resmedFiles(fixtures)).encoded()]
    }

    static func resmedFiles(_ fixtures: URL) throws -> [Ustar.Entry] {
        let folder = fixtures.appending(path: "resmed-card/card/DATALOG/20261122")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        return try names.map { name in
            Ustar.Entry(
                name: "DATALOG/20261122/\(name)", bytes: [UInt8](try Data(contentsOf: folder.appending(path: name))))
        }
    }
}
