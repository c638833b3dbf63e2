internal import Glibc

/// What may still be written, by the space that is left (ARCHITECTURE section 6, failure table).
public struct DiskPolicy: Sendable, Equatable {
    public enum Verdict: String, Sendable, Codable, Equatable {
        case ample
        /// Everything works; a person should make room.
        case low
        /// Nothing new is started; what runs goes on.
        case refuseStart
        /// Even a running recording has to be ended while it can still be sealed.
        case stopRunning
    }

    /// Bytes below which each verdict holds.
    public var warnBelow: Int64
    public var refuseBelow: Int64
    public var stopBelow: Int64

    public init(warnBelow: Int64 = 2_000_000_000, refuseBelow: Int64 = 500_000_000, stopBelow: Int64 = 50_000_000) {
        self.warnBelow = warnBelow
        self.refuseBelow = refuseBelow
        self.stopBelow = stopBelow
    }

    /// - Parameter free: bytes, or nil when they can't be known: then nothing is refused, the disk will say it itself.
    public func verdict(free: Int64?) -> Verdict {
        guard let free else { return .ample }
        return if free < stopBelow {
            .stopRunning
        } else if free < refuseBelow {
            .refuseStart
        } else if free < warnBelow {
            .low
        } else {
            .ample
        }
    }

    /// Bytes that this process may still write to the file system of `path`.
    public static func freeSpace(at path: String) -> Int64? {
        var status = statvfs()
        // unsafe: C string bridging and an out parameter, both for the call only.
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : Int64(clamping: bytes)
    }
}
