/// A pattern that must never be written to a device (erase, firmware), and why.
public struct ForbiddenBytes: Sendable, Hashable {
    /// `nil` stands for any byte. Matches anywhere in what is written, also across two writes.
    public var pattern: [UInt8?]
    public var reason: String

    public init(_ pattern: [UInt8?], reason: String) {
        precondition(pattern.contains { $0 != nil }, "a pattern of wildcards only would forbid everything")
        self.pattern = pattern
        self.reason = reason
    }

    /// True when `bytes` contain the pattern.
    public func occurs(in bytes: [UInt8]) -> Bool {
        guard bytes.count >= pattern.count else { return false }
        return (0...bytes.count - pattern.count).contains { start in
            pattern.indices.allSatisfy { pattern[$0] == nil || pattern[$0] == bytes[start + $0] }
        }
    }
}
