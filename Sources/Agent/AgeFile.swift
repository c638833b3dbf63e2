import Crypto
import FoundationEssentials

/// Files sealed for one reader in the format of age-encryption.org/v1 (X25519 recipients): the region opens them with the
/// `age` program of its distribution, whatever else it has.
enum AgeFile {
    enum Failure: Error, Equatable {
        /// Not `age1…`, or a damaged one.
        case recipient
        /// Not `AGE-SECRET-KEY-1…`.
        case identity
        /// Not an age file, damaged, or sealed for somebody else.
        case unreadable
    }

    private static let version = "age-encryption.org/v1"
    private static let chunkSize = 64 << 10

    // MARK: Keys

    /// `age1…`
    static func recipient(_ text: String) throws(Failure) -> Curve25519.KeyAgreement.PublicKey {
        guard let (prefix, bytes) = Bech32.decode(text), prefix == "age",
            let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: bytes)
        else { throw .recipient }
        return key
    }

    static func text(_ key: Curve25519.KeyAgreement.PublicKey) -> String {
        Bech32.encode("age", Array(key.rawRepresentation))
    }

    /// The line `AGE-SECRET-KEY-1…` of an identity file; other lines are comments.
    static func identity(_ file: String) throws(Failure) -> Curve25519.KeyAgreement.PrivateKey {
        let lines = file.split(whereSeparator: \.isNewline)
        guard let line = lines.first(where: { $0.hasPrefix("AGE-SECRET-KEY-1") }),
            let (prefix, bytes) = Bech32.decode(String(line)), prefix == "age-secret-key-",
            let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes)
        else { throw .identity }
        return key
    }

    static func text(_ key: Curve25519.KeyAgreement.PrivateKey) -> String {
        Bech32.encode("age-secret-key-", Array(key.rawRepresentation)).uppercased()
    }

    // MARK: Sealing

    /// Pieces of a sealed file, in order.
    struct Sealer {
        let head: [UInt8]
        private let key: SymmetricKey
        private var counter: UInt64 = 0
        private var buffer: [UInt8] = []

        init(for recipient: Curve25519.KeyAgreement.PublicKey) throws {
            let fileKey = SymmetricKey(size: .bits128)
            let ephemeral = Curve25519.KeyAgreement.PrivateKey()
            let wrapKey = try AgeFile.wrapKey(ephemeral, recipient, share: ephemeral.publicKey, recipient: recipient)
            let wrapped = try ChaChaPoly.seal(
                fileKey.bytes, using: wrapKey, nonce: ChaChaPoly.Nonce(data: [UInt8](repeating: 0, count: 12)))
            var header = "\(AgeFile.version)\n-> X25519 \(unpadded(ephemeral.publicKey.rawRepresentation))\n"
            header += unpadded(wrapped.ciphertext + wrapped.tag) + "\n---"
            let mac = HMAC<SHA256>.authenticationCode(
                for: Array(header.utf8), using: AgeFile.derive(fileKey, salt: [], "header"))
            let nonce = SymmetricKey(size: .bits128).bytes
            head = Array("\(header) \(unpadded(Data(mac)))\n".utf8) + nonce
            key = AgeFile.derive(fileKey, salt: nonce, "payload")
        }

        /// What of it can be written already.
        mutating func take(_ bytes: [UInt8]) throws -> [UInt8] {
            buffer += bytes
            var out: [UInt8] = []
            // A full chunk may be the last one: it stays until more comes.
            var start = 0
            while buffer.count - start > AgeFile.chunkSize {
                out += try seal(buffer[start..<start + AgeFile.chunkSize], isLast: false)
                start += AgeFile.chunkSize
            }
            buffer.removeFirst(start)
            return out
        }

        mutating func finish() throws -> [UInt8] { try seal(buffer[...], isLast: true) }

        private mutating func seal(_ chunk: ArraySlice<UInt8>, isLast: Bool) throws -> [UInt8] {
            defer { counter += 1 }
            let box = try ChaChaPoly.seal(chunk, using: key, nonce: AgeFile.nonce(counter, isLast: isLast))
            return Array(box.ciphertext + box.tag)
        }
    }

    static func seal(_ bytes: [UInt8], for recipient: Curve25519.KeyAgreement.PublicKey) throws -> [UInt8] {
        var sealer = try Sealer(for: recipient)
        return try sealer.head + sealer.take(bytes) + sealer.finish()
    }

    // MARK: Opening

    static func open(_ file: [UInt8], with identity: Curve25519.KeyAgreement.PrivateKey) throws(Failure) -> [UInt8] {
        do {
            return try opened(file, identity)
        } catch { throw .unreadable }
    }

    private static func opened(_ file: [UInt8], _ identity: Curve25519.KeyAgreement.PrivateKey) throws -> [UInt8] {
        guard let mark = file.prefix(64 << 10).firstRange(of: Array("\n--- ".utf8)),
            let end = file[mark.upperBound...].prefix(64).firstIndex(of: 10)
        else { throw Failure.unreadable }
        let header = file[..<(mark.upperBound - 1)]
        let mac = base64(String(decoding: file[mark.upperBound..<end], as: UTF8.self))
        let lines = String(decoding: file[..<mark.lowerBound], as: UTF8.self).split(separator: "\n")
        guard lines.first.map(String.init) == version, let mac else { throw Failure.unreadable }
        for index in lines.indices.dropFirst() where lines[index].hasPrefix("-> X25519 ") {
            guard index + 1 < lines.count, let share = base64(String(lines[index].dropFirst(10))),
                let wrapped = base64(String(lines[index + 1])), wrapped.count == 32,
                let sender = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: share)
            else { continue }
            let key = try wrapKey(identity, sender, share: sender, recipient: identity.publicKey)
            let box = try ChaChaPoly.SealedBox(
                nonce: ChaChaPoly.Nonce(data: [UInt8](repeating: 0, count: 12)), ciphertext: wrapped.prefix(16),
                tag: wrapped.suffix(16))
            guard let raw = try? ChaChaPoly.open(box, using: key) else { continue }
            let fileKey = SymmetricKey(data: raw)
            guard
                HMAC<SHA256>.isValidAuthenticationCode(
                    mac, authenticating: header, using: derive(fileKey, salt: [], "header"))
            else { throw Failure.unreadable }
            let body = file[(end + 1)...]
            guard body.count >= 32 else { throw Failure.unreadable }
            return try chunks(body.dropFirst(16), derive(fileKey, salt: Array(body.prefix(16)), "payload"))
        }
        throw Failure.unreadable
    }

    private static func chunks(_ sealed: ArraySlice<UInt8>, _ key: SymmetricKey) throws -> [UInt8] {
        var plain: [UInt8] = []
        var rest = sealed
        var counter: UInt64 = 0
        repeat {
            let chunk = rest.prefix(chunkSize + 16)
            rest = rest.dropFirst(chunkSize + 16)
            guard chunk.count >= 16 else { throw Failure.unreadable }
            let box = try ChaChaPoly.SealedBox(
                nonce: nonce(counter, isLast: rest.isEmpty), ciphertext: chunk.dropLast(16), tag: chunk.suffix(16))
            plain += try ChaChaPoly.open(box, using: key)
            counter += 1
        } while !rest.isEmpty
        return plain
    }

    // MARK: Parts of the format

    private static func wrapKey(
        _ mine: Curve25519.KeyAgreement.PrivateKey, _ theirs: Curve25519.KeyAgreement.PublicKey,
        share: Curve25519.KeyAgreement.PublicKey, recipient: Curve25519.KeyAgreement.PublicKey
    ) throws -> SymmetricKey {
        try mine.sharedSecretFromKeyAgreement(with: theirs).hkdfDerivedSymmetricKey(
            using: SHA256.self, salt: share.rawRepresentation + recipient.rawRepresentation,
            sharedInfo: Array("\(version)/X25519".utf8), outputByteCount: 32)
    }

    private static func derive(_ key: SymmetricKey, salt: [UInt8], _ info: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: key, salt: salt, info: Array(info.utf8), outputByteCount: 32)
    }

    /// A counter of 11 bytes, and whether it is the last chunk.
    private static func nonce(_ counter: UInt64, isLast: Bool) throws -> ChaChaPoly.Nonce {
        let number = (0..<8).reversed().map { UInt8(truncatingIfNeeded: counter >> (8 * UInt64($0))) }
        return try ChaChaPoly.Nonce(data: [0, 0, 0] + number + [isLast ? 1 : 0])
    }

    private static func unpadded(_ data: Data) -> String {
        String(data.base64EncodedString().prefix { $0 != "=" })
    }

    private static func base64(_ text: String) -> Data? {
        Data(base64Encoded: text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4))
    }
}

extension SymmetricKey {
    /// For formats that seal a key as bytes.
    fileprivate var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }
}

/// BIP 173, for the texts of age's keys; without its limit of 90 characters.
enum Bech32 {
    private static let alphabet = Array("qpzry9x8gf2tvdw0s3jn54khce6mua7l".utf8)

    static func encode(_ prefix: String, _ bytes: [UInt8]) -> String {
        let values = regroup(bytes, from: 8, to: 5, pads: true) ?? []
        let sum = checksum(expanded(prefix) + values + [0, 0, 0, 0, 0, 0]) ^ 1
        let check = (0..<6).map { UInt8(sum >> (5 * (5 - UInt32($0))) & 31) }
        return prefix + "1" + String(decoding: (values + check).map { alphabet[Int($0)] }, as: UTF8.self)
    }

    /// Nil for mixed case, a wrong checksum, or anything else that isn't one.
    static func decode(_ text: String) -> (prefix: String, bytes: [UInt8])? {
        let lower = text.lowercased()
        guard text == lower || text == text.uppercased(), let mark = lower.lastIndex(of: "1"), mark > lower.startIndex
        else { return nil }
        let prefix = String(lower[..<mark])
        var values: [UInt8] = []
        for byte in lower[lower.index(after: mark)...].utf8 {
            guard let value = alphabet.firstIndex(of: byte) else { return nil }
            values.append(UInt8(value))
        }
        guard values.count >= 6, checksum(expanded(prefix) + values) == 1,
            let bytes = regroup(Array(values.dropLast(6)), from: 5, to: 8, pads: false)
        else { return nil }
        return (prefix, bytes)
    }

    private static func expanded(_ prefix: String) -> [UInt8] {
        prefix.utf8.map { $0 >> 5 } + [0] + prefix.utf8.map { $0 & 31 }
    }

    private static func checksum(_ values: [UInt8]) -> UInt32 {
        var sum: UInt32 = 1
        for value in values {
            let top = sum >> 25
            sum = (sum & 0x1FF_FFFF) << 5 ^ UInt32(value)
            for (bit, generator) in [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3].enumerated()
            where top >> UInt32(bit) & 1 == 1 { sum ^= UInt32(generator) }
        }
        return sum
    }

    private static func regroup(_ bytes: [UInt8], from: UInt32, to: UInt32, pads: Bool) -> [UInt8]? {
        var accumulator: UInt32 = 0
        var bits: UInt32 = 0
        var out: [UInt8] = []
        for byte in bytes {
            accumulator = (accumulator << from | UInt32(byte)) & 0xFFF
            bits += from
            while bits >= to {
                bits -= to
                out.append(UInt8(truncatingIfNeeded: accumulator >> bits & (1 << to - 1)))
            }
        }
        let rest = accumulator & (1 << bits - 1)
        if pads, bits > 0 { out.append(UInt8(truncatingIfNeeded: rest << (to - bits))) }
        guard pads || bits < from && rest == 0 else { return nil }
        return out
    }
}
