import Wire

/// The USB/IP protocol, version 1.1.1, as the Linux kernel's documentation describes it (Documentation/usb/usbip_protocol):
/// everything in network byte order.
enum USBIP {
    static let version: UInt16 = 0x0111
    static let basicSize = 8
    static let busIDSize = 32
    static let headerSize = 48
    /// No transfer of our devices is larger; a length field that says more is refused.
    static let longest = 1 << 20

    enum Operation {
        static let deviceList: UInt16 = 0x8005
        static let importDevice: UInt16 = 0x8003
    }

    enum Command {
        static let submit: UInt32 = 1
        static let unlink: UInt32 = 2
        static let submitted: UInt32 = 3
        static let unlinked: UInt32 = 4
    }

    /// Linux' error numbers, as they travel.
    enum Status {
        static let stalled: Int32 = -32
        static let overflow: Int32 = -75
        static let connectionReset: Int32 = -104
    }

    /// A request of the second phase, without the bytes behind it.
    struct Request {
        var command: UInt32
        var sequence: UInt32
        var isInput: Bool
        var endpoint: UInt8
        /// Of the transfer; for `unlink` the sequence number that is meant.
        var length: Int
        var setup: [UInt8]

        /// Nil for what is no request.
        init?(_ bytes: some Collection<UInt8>) {
            let words = Array(bytes)
            func word(_ at: Int) -> UInt32 { words[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
            guard words.count == USBIP.headerSize else { return nil }
            command = word(0)
            sequence = word(4)
            isInput = word(12) == 1
            guard word(16) < 16 else { return nil }
            endpoint = UInt8(word(16))
            setup = Array(words[40..<48])
            switch command {
            case Command.submit:
                guard word(24) <= UInt32(USBIP.longest) else { return nil }
                length = Int(word(24))
            case Command.unlink: length = Int(word(20))
            default: return nil
            }
        }

        /// Bytes that follow the header.
        var payload: Int { command == Command.submit && !isInput ? length : 0 }
    }

    static func reply(_ operation: UInt16, status: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        writer.bigEndian(version)
        writer.bigEndian(operation & 0x7FFF)
        writer.bigEndian(status)
        return writer.bytes
    }

    /// - Parameters:
    ///   - actual: bytes that were transferred.
    ///   - content: of an IN transfer.
    static func submitted(_ sequence: UInt32, status: Int32, actual: Int, content: [UInt8] = []) -> [UInt8] {
        var writer = ByteWriter()
        header(&writer, Command.submitted, sequence)
        writer.bigEndian(UInt32(bitPattern: status))
        writer.bigEndian(UInt32(actual))
        // Start frame, packets, errors and padding.
        for _ in 0..<5 { writer.bigEndian(UInt32(0)) }
        return writer.bytes + content
    }

    static func unlinked(_ sequence: UInt32, status: Int32) -> [UInt8] {
        var writer = ByteWriter()
        header(&writer, Command.unlinked, sequence)
        writer.bigEndian(UInt32(bitPattern: status))
        for _ in 0..<6 { writer.bigEndian(UInt32(0)) }
        return writer.bytes
    }

    private static func header(_ writer: inout ByteWriter, _ command: UInt32, _ sequence: UInt32) {
        writer.bigEndian(command)
        writer.bigEndian(sequence)
        // Device, direction and endpoint are zero in answers.
        for _ in 0..<3 { writer.bigEndian(UInt32(0)) }
    }
}
