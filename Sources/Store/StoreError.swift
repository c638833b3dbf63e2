internal import GRDB

/// What the store can't do, and why. Texts are English and never hold an identity.
public enum StoreError: Error, Sendable, Equatable {
    /// Another process has the store open; its process id when it could be read.
    case inUse(Int32?)
    /// The file is sealed with another master key.
    case wrongKey
    /// SQLite could not write: the disk is full.
    case diskFull
    /// Refused before the disk is full: bytes that are free, and that have to be.
    case diskLow(free: Int64, needed: Int64)
    /// The file, or something sealed in it, isn't what was written.
    case corrupt(String)
    case readOnly
    /// The directory, or something in it, belongs to somebody else.
    case denied(String)
    /// The master key's file can't be used: wrong length, open to everybody, not readable.
    case badKey(String)
    /// What was named isn't there.
    case notFound(String)
    /// The rules say no; the text says which.
    case refused(String)
    /// The operating system or SQLite failed otherwise.
    case system(String)
}

extension StoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .inUse(let pid?): "the store is in use by process \(pid)"
        case .inUse(nil): "the store is in use by another process"
        case .wrongKey: "the store was sealed with another master key"
        case .diskFull: "the disk is full"
        case .diskLow(let free, let needed):
            "only \(free / 1_000_000) MB are free, \(needed / 1_000_000) MB are needed: free space on this disk"
        case .corrupt(let what): "damaged: \(what)"
        case .readOnly: "the store can't be written to"
        case .denied(let what): "\(what): permission denied"
        case .badKey(let why): why
        case .notFound(let what): "not found: \(what)"
        case .refused(let why): why
        case .system(let what): what
        }
    }
}

extension StoreError {
    /// Converts once, at the edge. Only SQLite's code and message are used: never SQL arguments.
    init(_ error: any Error) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError: self.init(error)
        case is RowDecodingError: self = .corrupt("a stored value isn't what was written")
        case is DecodingError: self = .corrupt("a stored value can't be read")
        default: self = .system("\(type(of: error))")
        }
    }

    private init(_ error: DatabaseError) {
        let message = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
        // No room for the shared memory beside the log: SQLite calls that an I/O error.
        if [.SQLITE_IOERR_SHMSIZE, .SQLITE_IOERR_SHMMAP].contains(error.extendedResultCode) {
            self = .diskFull
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            // The statement says which table; its arguments are never shown.
            let statement = error.sql.map {
                " (\($0.split(whereSeparator: \.isWhitespace).joined(separator: " ").prefix(100)))"
            }
            self = .corrupt(message + (statement ?? ""))
        case .SQLITE_READONLY: self = .readOnly
        case .SQLITE_CONSTRAINT: self = .refused(message)
        default: self = .system(message)
        }
    }
}
