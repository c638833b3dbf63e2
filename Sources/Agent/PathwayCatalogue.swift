import CPathwayFiles
public import Clinical
import FoundationEssentials

/// The pathways that this laptop knows: those that the agent comes with, and over them a region's own, by key.
public struct PathwayCatalogue: Sendable, Equatable {
    /// By key.
    public private(set) var blocks: [String: AcquisitionBlock] = [:]
    /// In the order of the files.
    public private(set) var pathways: [Pathway] = []

    /// Files larger than this are something else.
    private static let limit = 1 << 20

    /// - Parameter directory: `*.json` of it are read in the order of their names; what is named again is replaced.
    /// - Throws: `ConfigurationError` with the file and the place in it.
    public static func load(directory: String?) throws(ConfigurationError) -> PathwayCatalogue {
        var catalogue = PathwayCatalogue()
        for index in 0..<ess_pathway_file_count() {
            // The names and bytes are constants of the program.
            let file = unsafe ess_pathway_file(index)
            let name = unsafe String(cString: file.name)
            let bytes = unsafe Data(bytes: file.bytes, count: file.size)
            try catalogue.add(bytes, from: name)
        }
        if let directory {
            let names: [String]
            do { names = try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
                throw ConfigurationError("pathways: \(directory) can't be read. Does it exist, with mode 0755?")
            }
            for name in names.sorted() where name.hasSuffix(".json") && name != "schema.json" {
                let path = "\(directory)/\(name)"
                guard let bytes = FileManager.default.contents(atPath: path), bytes.count <= limit else {
                    throw ConfigurationError("\(path): can't be read, or is larger than 1 MiB.")
                }
                try catalogue.add(bytes, from: path)
            }
        }
        try catalogue.check()
        return catalogue
    }

    /// - Parameter code: as an order names it; nil or an unknown one: none.
    public func pathway(_ code: String?) -> Pathway? {
        guard let code else { return nil }
        return pathways.first { $0.code == code } ?? pathways.first { $0.aliases.contains(code) }
    }

    private mutating func add(_ bytes: Data, from name: String) throws(ConfigurationError) {
        let file: PathwayFile
        do { file = try JSONDecoder().decode(PathwayFile.self, from: bytes) } catch {
            throw ConfigurationError("\(name): \(Self.sentence(error))")
        }
        for (what, keys) in [("block", file.blocks.map(\.key)), ("pathway", file.pathways.map(\.code))] {
            if let twice = keys.first(where: { key in keys.count(where: { $0 == key }) > 1 }) {
                throw ConfigurationError("\(name): the \(what) `\(twice)` stands there twice.")
            }
        }
        for block in file.blocks { blocks[block.key] = block }
        for pathway in file.pathways {
            // A region's own code may be an alias of a built-in one: then it is the region's.
            for index in pathways.indices { pathways[index].aliases.removeAll { $0 == pathway.code } }
            if let index = pathways.firstIndex(where: { $0.code == pathway.code }) {
                pathways[index] = pathway
            } else {
                pathways.append(pathway)
            }
        }
    }

    private func check() throws(ConfigurationError) {
        var names: Set<String> = []
        for pathway in pathways {
            let items = pathway.required + pathway.optional
            for key in items.flatMap(\.blocks) where blocks[key] == nil {
                throw ConfigurationError(
                    "pathway `\(pathway.code)`: no block is called `\(key)`; known: \(blocks.keys.sorted().joined(separator: ", "))."
                )
            }
            let keys = items.map { $0.blocks[0] }
            guard Set(keys).count == keys.count else {
                throw ConfigurationError("pathway `\(pathway.code)`: an item stands there twice.")
            }
            for name in [pathway.code] + pathway.aliases where !names.insert(name).inserted {
                throw ConfigurationError("two pathways are called `\(name)`.")
            }
        }
    }

    /// Where in the file, and what is wrong there; JSON's own words only for what isn't JSON at all.
    private static func sentence(_ error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String {
            let text = path.reduce("") { text, key in
                key.intValue.map { "\(text)[\($0)]" } ?? (text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)")
            }
            return text.isEmpty ? "the whole file" : text
        }
        return switch error as? DecodingError {
        case .keyNotFound(let key, let context): "\(place(context.codingPath)): `\(key.stringValue)` is missing."
        case .typeMismatch(let type, let context): "\(place(context.codingPath)): is no \(type)."
        case .valueNotFound(_, let context): "\(place(context.codingPath)): has no value."
        case .dataCorrupted(let context):
            "\(place(context.codingPath)): \(context.debugDescription)\(context.codingPath.isEmpty ? " (is it JSON in UTF-8?)" : "")."
        default: "can't be read."
        }
    }
}
