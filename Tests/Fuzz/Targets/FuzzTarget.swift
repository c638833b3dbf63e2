public import Foundation

/// One parser under attack: any bytes may come, and it may return or throw; it may not crash, hang, or hold more memory than
/// its bound says. `make fuzz` runs each under libFuzzer, `MutationTests` runs all in every `make test`.
public struct FuzzTarget: Sendable {
    public var name: String
    /// Folders or files below `fixtures/` whose content it starts from.
    public var fixtures: [String]
    /// Of the files in those folders, those with such an ending; empty for all.
    public var endings: [String]
    /// Folders of real files, below a folder that is no part of the project: more to start from where it is there.
    public var shared: [String]
    /// Live heap at its peak is at most this often the input's size …
    public var heapPerByte: Int
    /// … and this many bytes.
    public var heapBeside: Int
    public var run: @Sendable ([UInt8]) -> Void
    /// Made of fixtures where one file alone is no input.
    public var made: @Sendable (_ fixtures: URL) throws -> [[UInt8]]

    /// Decoded samples of coded data: one bit can stand for a sample of eight bytes, kept two or three times while it is
    /// turned into a channel.
    public static let usualHeapPerByte = 512
    public static let usualHeapBeside = 16 << 20

    public init(
        _ name: String, fixtures: [String] = [], endings: [String] = [], shared: [String] = [],
        heapPerByte: Int = usualHeapPerByte,
        heapBeside: Int = usualHeapBeside, made: @escaping @Sendable (URL) throws -> [[UInt8]] = { _ in [] },
        run: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.name = name
        self.fixtures = fixtures
        self.endings = endings
        self.shared = shared
        self.heapPerByte = heapPerByte
        self.heapBeside = heapBeside
        self.made = made
        self.run = run
    }

    /// Every target; a new list is named here once.
    public static var all: [FuzzTarget] { formats + cards + media + drivers }

    /// The inputs to start from, in a stable order.
    /// - Parameter root: the project's `fixtures` folder.
    public func seeds(_ root: URL) throws -> [[UInt8]] {
        var seeds = try made(root)
        for path in fixtures {
            let url = root.appending(path: path)
            for file in try Self.files(at: url)
            where endings.isEmpty || endings.contains(where: { file.path.hasSuffix($0) }) {
                seeds.append([UInt8](try Data(contentsOf: file)))
            }
        }
        return seeds
    }

    /// Inputs made of real files: the beginning of each, as long as the fuzzer lets an input become.
    /// - Parameter root: where the folders named in `shared` lie.
    public func realSeeds(_ root: URL, limit: Int) throws -> [[UInt8]] {
        try shared.flatMap { try Self.files(at: root.appending(path: $0)) }.map { file in
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            return [UInt8](try handle.read(upToCount: limit) ?? Data())
        }
    }

    private static func files(at url: URL) throws -> [URL] {
        var isDirectory: ObjCBool = false
        guard unsafe FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) else { return [] }
        guard isDirectory.boolValue else { return [url] }
        return try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }.flatMap { try files(at: $0) }
    }
}
