internal import Crypto
internal import FoundationEssentials

/// Encryption at rest: AES-256-GCM throughout. The master key itself seals nothing; three keys are derived from it, so
/// that wrapping, identities and the audit chain can't be played against each other. Every recording has its own random
/// data key, and everything sealed names its place (recording, table, row) as associated data: rows can't be swapped.
struct Vault: Sendable {
    private let wrapping: SymmetricKey
    /// Seals identity columns that belong to no recording.
    let identity: SymmetricKey
    /// Authenticates the audit chain.
    let chain: SymmetricKey

    init(_ master: MasterKey) {
        func derive(_ purpose: String) -> SymmetricKey {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: master.key, info: Array("ess-agent store 1 \(purpose)".utf8), outputByteCount: 32)
        }
        wrapping = derive("wrapping")
        identity = derive("identity")
        chain = derive("audit")
    }

    /// A new data key, and its wrapped form for the recording's row.
    func makeDataKey(for recording: String) throws(StoreError) -> (key: SymmetricKey, wrapped: Data) {
        let key = SymmetricKey(size: .bits256)
        let bytes = unsafe key.withUnsafeBytes { unsafe Array($0) }
        return (key, try wrapping.seal(bytes, at: "\(recording)|data-key"))
    }

    /// The same data key under another master key.
    func rewrap(_ wrapped: Data, for recording: String, into other: Vault) throws(StoreError) -> Data {
        let place = "\(recording)|data-key"
        return try other.wrapping.seal(try wrapping.open(wrapped, at: place), at: place)
    }

    func unwrap(_ wrapped: Data, for recording: String) throws(StoreError) -> SymmetricKey {
        SymmetricKey(data: try wrapping.open(wrapped, at: "\(recording)|data-key"))
    }
}

extension SymmetricKey {
    /// Nonce, ciphertext and tag in one.
    /// - Parameter place: what the bytes are and where they belong; needed again, exactly, to open them.
    func seal(_ bytes: some DataProtocol, at place: String) throws(StoreError) -> Data {
        do {
            let box = try AES.GCM.seal(bytes, using: self, authenticating: Array(place.utf8))
            guard let combined = box.combined else { throw StoreError.system("sealing failed") }
            return combined
        } catch {
            throw .system("sealing failed")
        }
    }

    /// Opens what holds nothing and only vouches for its place.
    func verify(_ mark: Data?, at place: String, of what: @autoclosure () -> String) throws(StoreError) {
        guard let mark, let opened = try? open(mark, at: place), opened.isEmpty else {
            throw .corrupt("\(what()) isn't what was written")
        }
    }

    func open(_ sealed: Data, at place: String) throws(StoreError) -> Data {
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            return try AES.GCM.open(box, using: self, authenticating: Array(place.utf8))
        } catch {
            throw .corrupt("sealed bytes do not open at \(place)")
        }
    }

    func seal(text: String, at place: String) throws(StoreError) -> Data { try seal(Array(text.utf8), at: place) }

    func openText(_ sealed: Data, at place: String) throws(StoreError) -> String {
        String(decoding: try open(sealed, at: place), as: UTF8.self)
    }

    func seal(json value: some Encodable, at place: String) throws(StoreError) -> Data {
        try seal(try JSON.encode(value), at: place)
    }

    func open<T: Decodable>(json type: T.Type, _ sealed: Data, at place: String) throws(StoreError) -> T {
        try JSON.decode(type, try open(sealed, at: place))
    }
}

/// JSON as the database keeps it: sorted keys, so that equal values are equal bytes.
enum JSON {
    static func encode(_ value: some Encodable) throws(StoreError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return try encoder.encode(value) } catch { throw .system("a value can't be encoded") }
    }

    static func text(_ value: some Encodable) throws(StoreError) -> String {
        String(decoding: try encode(value), as: UTF8.self)
    }

    static func decode<T: Decodable>(_ type: T.Type, _ data: Data) throws(StoreError) -> T {
        do { return try JSONDecoder().decode(type, from: data) } catch {
            throw .corrupt("a stored \(type) can't be read")
        }
    }

    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws(StoreError) -> T {
        try decode(type, Data(text.utf8))
    }
}
