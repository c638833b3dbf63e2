import Crypto
import Testing

@testable import Agent

/// Against the format's text (age-encryption.org/v1); the `age` program itself judges in Tests/EndToEnd/test_profiles.py.
@Suite struct AgeFileTests {
    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 200_000])
    func opensWhatItSealed(size: Int) throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let plain = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let sealed = try AgeFile.seal(plain, for: key.publicKey)
        #expect(try AgeFile.open(sealed, with: key) == plain)
        // A header, a nonce, and 16 bytes a chunk.
        #expect(sealed.starts(with: Array("age-encryption.org/v1\n-> X25519 ".utf8)))
    }

    @Test func piecesAreTheSameAsTheWhole() throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let plain = [UInt8](repeating: 7, count: 150_000)
        var sealer = try AgeFile.Sealer(for: key.publicKey)
        var sealed = sealer.head
        for start in stride(from: 0, to: plain.count, by: 4_097) {
            sealed += try sealer.take(Array(plain[start..<min(plain.count, start + 4_097)]))
        }
        sealed += try sealer.finish()
        #expect(try AgeFile.open(sealed, with: key) == plain)
    }

    @Test func anythingElseIsRefused() throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let sealed = try AgeFile.seal(Array("a recording".utf8), for: key.publicKey)
        #expect(throws: AgeFile.Failure.unreadable) {
            try AgeFile.open(sealed, with: Curve25519.KeyAgreement.PrivateKey())
        }
        for index in stride(from: 0, to: sealed.count, by: 7) {
            var damaged = sealed
            damaged[index] ^= 1
            #expect(throws: AgeFile.Failure.unreadable, "byte \(index)") { try AgeFile.open(damaged, with: key) }
        }
        for count in stride(from: 0, to: sealed.count, by: 11) {
            #expect(throws: AgeFile.Failure.unreadable) { try AgeFile.open(Array(sealed[..<count]), with: key) }
        }
    }

    @Test func aCutBetweenChunksIsSeen() throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let sealed = try AgeFile.seal([UInt8](repeating: 1, count: 131_072), for: key.publicKey)
        #expect(throws: AgeFile.Failure.unreadable) { try AgeFile.open(Array(sealed.dropLast(65_552)), with: key) }
    }

    @Test func keysAsAgeWritesThem() throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let recipient = AgeFile.text(key.publicKey)
        #expect(recipient.hasPrefix("age1") && recipient.utf8.count == 62)
        #expect(try AgeFile.recipient(recipient).rawRepresentation == key.publicKey.rawRepresentation)
        let identity = AgeFile.text(key)
        #expect(identity.hasPrefix("AGE-SECRET-KEY-1"))
        #expect(try AgeFile.identity("# created: today\n\(identity)\n").rawRepresentation == key.rawRepresentation)
        var damaged = Array(recipient)
        damaged[20] = damaged[20] == "q" ? "p" : "q"
        #expect(throws: AgeFile.Failure.recipient) { try AgeFile.recipient(String(damaged)) }
        #expect(throws: AgeFile.Failure.recipient) { try AgeFile.recipient("age1") }
        #expect(throws: AgeFile.Failure.identity) { try AgeFile.identity(recipient) }
    }

    /// BIP 173's own examples.
    @Test(arguments: ["A12UEL5L", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"])
    func bech32(text: String) { #expect(Bech32.decode(text) != nil) }

    @Test(arguments: ["", "1", "abc", "pzry9x0s0muk", "A1G7SGD8", "A12UEL5l", "x1b4n0q5v"])
    func notBech32(text: String) { #expect(Bech32.decode(text) == nil) }
}
