import Wire

/// A Part 10 file's data set, whatever its transfer syntax makes of it: group 0002 is always Explicit VR Little Endian, what
/// follows is as the syntax named there says (PS3.5 A).
enum DicomPart10 {
    private static let bigEndian = "1.2.840.10008.1.2.2"
    private static let deflated = "1.2.840.10008.1.2.1.99"

    private enum Failure: Error {
        case malformed(Int, String)
        case truncated
        case inflate(Inflate.Failure)

        init(_ error: WireError) {
            switch error {
            case .malformed(let offset, let text): self = .malformed(offset, text)
            case .truncated: self = .truncated
            }
        }
    }

    /// True when the Part 10 mark is there.
    static func isHeader(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 132 && bytes[128..<132].elementsEqual("DICM".utf8)
    }

    /// - Returns: the data set, and whether the file ends before its elements do: what is whole is there all the same.
    static func content(_ bytes: [UInt8]) throws(DecodeError) -> (dataset: DicomDataset, isCut: Bool) {
        guard isHeader(bytes) else { throw .notRecognised("no DICM mark at byte 128") }
        do throws(Failure) { return try parse(bytes) } catch {
            switch error {
            case .malformed(let offset, let text):
                throw .damaged(format: "dicom", "near byte \(offset): \(text); export it again from where it came")
            case .truncated: throw cut
            case .inflate(.damaged):
                throw .damaged(format: "dicom", "its compressed part is cut or changed; copy the file again")
            case .inflate(.tooLong):
                throw .unsupported(format: "dicom", "its compressed part grows beyond a hundred times its size")
            }
        }
    }

    /// Where a part is worth nothing.
    static func dataset(_ bytes: [UInt8]) throws(DecodeError) -> DicomDataset {
        let (dataset, isCut) = try content(bytes)
        if isCut { throw cut }
        return dataset
    }

    static let cut = DecodeError.damaged(
        format: "dicom", "it ends before its elements do; copy the file again from where it came")

    private static func parse(_ bytes: [UInt8]) throws(Failure) -> (DicomDataset, Bool) {
        var reader = ByteReader(bytes[132...])
        var syntax = DicomName.implicitLittleEndian
        do throws(WireError) {
            while !reader.isAtEnd {
                var ahead = reader
                let tag = try DicomParser.tag(&ahead, isBigEndian: false)
                guard tag >> 16 == 0x0002 else { break }
                let representation = String(decoding: try ahead.bytes(2), as: UTF8.self)
                var length: Int
                if representation == "OB" || representation == "UN" {
                    try ahead.skip(2)
                    length = Int(try ahead.littleEndian(UInt32.self))
                } else {
                    length = Int(try ahead.littleEndian(UInt16.self))
                }
                let value = try ahead.bytes(length)
                if tag == 0x0002_0010 {
                    syntax = String(decoding: value.prefix { $0 != 0 && $0 != 0x20 }, as: UTF8.self)
                }
                reader = ahead
            }
        } catch {
            throw Failure(error)
        }
        var isShort = false
        if syntax == deflated {
            do throws(Inflate.Failure) {
                let content = try Inflate.decode(reader.rest())
                (reader, isShort) = (ByteReader(content.bytes), !content.isComplete)
            } catch {
                throw .inflate(error)
            }
        }
        // Compressed images look like Explicit VR Little Endian.
        var parser = DicomParser(
            isImplicit: syntax == DicomName.implicitLittleEndian, isBigEndian: syntax == bigEndian)
        do throws(WireError) {
            let dataset = try parser.dataset(&reader)
            return (dataset, parser.isCut || isShort)
        } catch {
            throw Failure(error)
        }
    }
}
