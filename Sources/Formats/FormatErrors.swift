/// Why bytes can't be read. The texts are English, say what is wrong and what to do, and never repeat patient data.
public enum DecodeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Of no kind that we know.
    case notRecognised(String)
    /// Of a known kind, but its content contradicts itself or is cut.
    case damaged(format: String, String)
    /// Of a known kind and well-formed as far as we can see, but in a variant that is not read.
    case unsupported(format: String, String)

    public var description: String {
        switch self {
        case .notRecognised(let text): "not recognised: \(text)"
        case .damaged(let format, let text): "damaged \(format) file: \(text)"
        case .unsupported(let format, let text): "\(format) file that can't be read: \(text)"
        }
    }
}

/// Why a waveform can't be written in a format. Nothing is ever rounded, clipped or left out to make it fit.
public enum EncodeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no sample.
    case empty
    /// The format has no way to say it exactly.
    case cannotRepresent(String)
    /// A value that the caller has to supply is missing or malformed.
    case invalid(String)

    public var description: String {
        switch self {
        case .empty: "there are no samples to write"
        case .cannotRepresent(let text): "can't be written exactly: \(text)"
        case .invalid(let text): "invalid value: \(text)"
        }
    }
}
