import ArgumentParser
import FoundationEssentials
import Glibc

struct JSONOption: ParsableArguments {
    @Flag(help: "Print JSON, for programs.") var json = false
}

func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// One value a line, for programs that read on.
func printJSONLine(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
    fflush(nil)
}

/// A plain table: columns as wide as their widest cell, two spaces between.
func printTable(_ header: [String], _ rows: [[String]]) {
    let widths = header.indices.map { column in
        ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    for row in [header] + rows {
        let cells = row.indices.map { column in
            column == row.count - 1
                ? row[column] : row[column] + String(repeating: " ", count: widths[column] - row[column].count)
        }
        print(cells.joined(separator: "  "))
    }
}

/// Without a fraction where it has none.
func number(_ value: Double) -> String { Int(exactly: value).map { "\($0)" } ?? "\(value)" }

/// `1,2 Mo`: bytes for people, French.
func size(_ bytes: Int) -> String {
    switch bytes {
    case ..<1000: "\(bytes) o"
    case ..<1_000_000: "\(tenth(Double(bytes) / 1e3)) ko"
    default: "\(tenth(Double(bytes) / 1e6)) Mo"
    }
}

func tenth(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10),\(abs(tenths % 10))"
}
