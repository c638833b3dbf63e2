import Crypto
import FoundationEssentials
import Glibc

/// The folder through which a region without a server is served (a USB key, a share): sealed files go out, lists of receipts
/// and sealed worklists come in. No name in it says whose anything is.
///
///     out/{document}.{dcm,edf,bin}.age      a recording's document
///     out/{batch}.facts.json.age            a FHIR transaction Bundle
///     out/laptop.age-recipient              for whom a worklist is to be sealed
///     in/*.sha256 (+ .sig)                  what `sha256sum` says of the opened documents
///     in/*.json.age                         FHIR Bundles: worklists, opinions, questions
struct ExchangeFolder: Sendable {
    enum Failure: Error, Equatable {
        /// Not there now: a key to be plugged in.
        case missing
        case system(String, Int32)
        case signature
        case tooLarge
    }

    /// What came in.
    struct Incoming: Sendable, Equatable {
        var name: String
        var bytes: [UInt8]
    }

    /// Far more than a year of receipts or a worklist.
    static let limit = 16 << 20

    let path: String
    let recipient: Curve25519.KeyAgreement.PublicKey
    /// Nil: lists needn't be signed. A right SHA-256 alone shows that the document was opened.
    let signer: Curve25519.Signing.PublicKey?

    private var outgoing: String { "\(path)/out" }
    private var incoming: String { "\(path)/in" }

    init(_ region: Configuration.Region) throws(ConfigurationError) {
        guard let path = region.exchangeFolder, let text = region.exchangeRecipient else {
            throw ConfigurationError("profile = drop needs exchange-folder and exchange-recipient.")
        }
        guard let recipient = try? AgeFile.recipient(text) else {
            throw ConfigurationError("exchange-recipient is a public key of age: age1…")
        }
        var signer: Curve25519.Signing.PublicKey?
        if let file = region.exchangeSigner {
            // A SubjectPublicKeyInfo of Ed25519 is 12 bytes and the key (RFC 8410).
            guard let pem = try? Self.content(of: file, limit: 4096), let der = Self.pemBody(pem), der.count == 44,
                let key = try? Curve25519.Signing.PublicKey(rawRepresentation: der.suffix(32))
            else { throw ConfigurationError("exchange-signer: \(file) is no Ed25519 public key in PEM.") }
            signer = key
        }
        self.path = path
        self.recipient = recipient
        self.signer = signer
    }

    // MARK: Out

    func prepare() async throws(Failure) {
        try await Blocking.run { () throws(Failure) in
            // The folder itself is never made: a mount point without its key is not the place.
            guard unsafe access(path, W_OK | X_OK) == 0 else { throw .missing }
            for directory in [outgoing, incoming, "\(incoming)/done"] where unsafe mkdir(directory, 0o700) != 0 {
                guard errno == EEXIST else { throw .system("mkdir", errno) }
            }
        }
    }

    func has(_ name: String) async -> Bool {
        await Blocking.run { unsafe access("\(outgoing)/\(name)", F_OK) == 0 }
    }

    /// Sealed piece by piece; under its name only when it is whole and on the disk.
    func write(
        _ name: String, size: Int, read: @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8]
    ) async throws {
        var sealer = try AgeFile.Sealer(for: recipient)
        let partial = "\(outgoing)/.\(name).part"
        let file = try await Blocking.run { () throws(Failure) in
            let file = unsafe open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard file >= 0 else { throw .system("open", errno) }
            return file
        }
        do {
            try await put(sealer.head, file)
            var offset = 0
            while offset < size {
                let bytes = try await read(offset, min(1 << 20, size - offset))
                guard !bytes.isEmpty else { throw Failure.system("read", EIO) }
                offset += bytes.count
                try await put(sealer.take(bytes), file)
            }
            try await put(sealer.finish(), file)
        } catch {
            await Blocking.run {
                close(file)
                _ = unsafe unlink(partial)
            }
            throw error
        }
        try await Blocking.run { () throws(Failure) in
            defer { close(file) }
            guard fsync(file) == 0 else { throw .system("fsync", errno) }
            guard unsafe rename(partial, "\(outgoing)/\(name)") == 0 else { throw .system("rename", errno) }
            let directory = unsafe open(outgoing, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard directory >= 0 else { throw .system("open", errno) }
            defer { close(directory) }
            guard fsync(directory) == 0 else { throw .system("fsync", errno) }
        }
    }

    /// In the clear: a public key.
    func publish(_ text: String, as name: String) async throws(Failure) {
        try await Blocking.run { () throws(Failure) in
            let file = unsafe open("\(outgoing)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard file >= 0 else { throw .system("open", errno) }
            defer { close(file) }
            try Self.writeAll(Array(text.utf8), file)
        }
    }

    private func put(_ bytes: [UInt8], _ file: Int32) async throws(Failure) {
        try await Blocking.run { () throws(Failure) in try Self.writeAll(bytes, file) }
    }

    private static func writeAll(_ bytes: [UInt8], _ file: Int32) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let done = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard done > 0 else {
                guard errno == EINTR else { throw .system("write", errno) }
                continue
            }
            rest.removeFirst(done)
        }
    }

    // MARK: In

    /// The files with this ending, oldest name first. One that can't be used is left where it is, and named.
    func arrived(_ ending: String) async -> (files: [Incoming], unusable: [(name: String, why: Failure)]) {
        await Blocking.run {
            let names = ((try? FileManager.default.contentsOfDirectory(atPath: incoming)) ?? [])
                .filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.sorted()
            var files: [Incoming] = []
            var unusable: [(String, Failure)] = []
            for name in names {
                do throws(Failure) {
                    files.append(
                        Incoming(name: name, bytes: try Self.content(of: "\(incoming)/\(name)", limit: Self.limit)))
                } catch { unusable.append((name, error)) }
            }
            return (files, unusable)
        }
    }

    /// A list of receipts, believed.
    /// - Returns: SHA-256 by document.
    func receipts(in list: Incoming) async throws(Failure) -> [UUID: String] {
        if let signer {
            let signature = try await Blocking.run { () throws(Failure) in
                try Self.content(of: "\(incoming)/\(list.name).sig", limit: 64)
            }
            guard signer.isValidSignature(signature, for: list.bytes) else { throw .signature }
        }
        var found: [UUID: String] = [:]
        for line in String(decoding: list.bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            // `sha256sum` writes the hash, two spaces or a space and a star, and the name as it was given.
            let hash = line.prefix(64).lowercased()
            guard line.utf8.count > 66,
                hash.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
            else { continue }
            let name = line.dropFirst(66).split(separator: "/").last ?? ""
            if let id = UUID(uuidString: String(name.prefix(36))) { found[id] = hash }
        }
        return found
    }

    /// Out of the way, kept.
    func finished(_ name: String) async throws(Failure) {
        try await Blocking.run { () throws(Failure) in
            for name in [name, "\(name).sig"] {
                guard unsafe rename("\(incoming)/\(name)", "\(incoming)/done/\(name)") != 0, errno != ENOENT else {
                    continue
                }
                throw .system("rename", errno)
            }
        }
    }

    private static func content(of path: String, limit: Int) throws(Failure) -> [UInt8] {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw .system("open", errno) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .system("stat", EINVAL)
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe read(file, &buffer, buffer.count)
            guard count >= 0 else { throw .system("read", errno) }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= limit else { throw .tooLarge }
            bytes += buffer[..<count]
        }
    }

    private static func pemBody(_ bytes: [UInt8]) -> Data? {
        let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
        return Data(base64Encoded: lines.filter { !$0.hasPrefix("-----") }.joined())
    }
}
