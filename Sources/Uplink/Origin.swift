/// Scheme, host and port of the server, and the path below which it serves. Nothing is ever sent to another one.
public struct Origin: Hashable, Sendable, CustomStringConvertible {
    /// `https://ess.example:8443`, without a path.
    public let root: String
    /// Empty, or `/region`: a proxy may serve the ESS below a path.
    public let prefix: String

    public var description: String { root + prefix }

    /// `https://host[:port][/path]`, without user, query and fragment; else nil.
    public init?(_ text: String) { self.init(text, scheme: "https") }

    init?(_ text: String, scheme: String) {
        guard let parts = Self.split(text), parts.root.hasPrefix(scheme + "://"),
            !parts.path.contains("?"), !parts.path.contains("#"), !Self.climbs(parts.path)
        else { return nil }
        root = parts.root
        var path = parts.path
        while path.hasSuffix("/") { path.removeLast() }
        prefix = path
    }

    /// An absolute URL below the prefix. `path` begins with a slash.
    public func url(_ path: String) -> String { root + prefix + path }

    /// Makes a server's reference (a `Location`, a `link.next`, a URL in its discovery document) absolute.
    /// - Parameter base: the absolute URL that the reference was found at.
    /// - Returns: nil when it leaves this origin, or isn't a reference at all.
    public func resolve(_ reference: String, against base: String) -> String? {
        guard Self.isPlain(reference), !reference.isEmpty else { return nil }
        let clean = String(reference.prefix { $0 != "#" })
        guard !Self.climbs(clean) else { return nil }
        if clean.contains("://") && !clean.hasPrefix("/") && !clean.hasPrefix("?") {
            guard let parts = Self.split(clean), parts.root == root else { return nil }
            return parts.root + parts.path
        }
        if clean.hasPrefix("//") {
            return resolve(root.prefix { $0 != ":" } + ":" + clean, against: base)
        }
        if clean.hasPrefix("/") { return root + clean }
        guard let here = Self.split(base), here.root == root else { return nil }
        let path = here.path.prefix { $0 != "?" }
        if clean.hasPrefix("?") { return root + path + clean }
        let directory = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return root + directory + clean
    }

    /// The same for what a server says of itself (a `Location`, a `link.next`): behind a proxy that ends TLS it believes that it is
    /// `http://`. The same host, and we go there with TLS all the same; a redirect there isn't followed.
    /// - Returns: as `resolve`.
    public func resolveOwn(_ reference: String, against base: String) -> String? {
        let plain = "http://"
        guard root.hasPrefix("https://"), reference.lowercased().hasPrefix(plain) else {
            return resolve(reference, against: base)
        }
        return resolve("https://" + reference.dropFirst(plain.count), against: base)
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x5C && $0 != 0x22 && $0 != 0x3C && $0 != 0x3E }
    }

    /// Dot segments; no server needs them, and they would have to be resolved.
    private static func climbs(_ path: String) -> Bool {
        path.prefix { $0 != "?" }.split(separator: "/").contains { $0 == ".." || $0 == "." }
    }

    /// Normalised root (lower case, no default port), and the rest from its first slash.
    private static func split(_ text: String) -> (root: String, path: String)? {
        guard isPlain(text), let colon = text.range("://") else { return nil }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard scheme == "https" || scheme == "http" else { return nil }
        let rest = text[colon.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.isEmpty, !authority.contains("@"), !authority.contains("%") else { return nil }
        var host = authority.lowercased()
        if let mark = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            guard let port = Int(host[host.index(after: mark)...]), (1...65535).contains(port) else { return nil }
            if port == (scheme == "https" ? 443 : 80) { host = String(host[..<mark]) }
        }
        guard !host.isEmpty, host.first != ":" else { return nil }
        return (scheme + "://" + host, String(rest.dropFirst(authority.count)))
    }

    /// For a value in a query or a path segment: everything but RFC 3986's unreserved characters is escaped.
    static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                result += hex.utf8.count == 1 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return result
    }
}

extension String {
    /// The first place of `needle`.
    fileprivate func range(_ needle: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}
