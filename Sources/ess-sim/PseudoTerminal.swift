import Glibc

/// A call to the system that failed.
struct SystemFailure: Error, CustomStringConvertible {
    var call: String
    var number: Int32

    init(_ call: String) {
        self.call = call
        number = errno
    }

    var description: String {
        // `strerror` returns a string of the C library that stays valid until the next call; it is copied at once.
        unsafe "\(call): \(String(cString: strerror(number)))"
    }
}

/// The device's end of a pseudo terminal; the host opens `path`, or the link to it.
struct PseudoTerminal: DeviceLine {
    let descriptor: Int32
    var isReports: Bool { false }
    let path: String
    private let link: String?

    init(link: String?) throws {
        var ends: (device: Int32, host: Int32) = (-1, -1)
        var name = [CChar](repeating: 0, count: 256)
        // The ends and `name` outlive the call; `/dev/pts/` and a number fits into it.
        guard unsafe openpty(&ends.device, &ends.host, &name, nil, nil) == 0 else { throw SystemFailure("openpty") }
        // Held open from here, the host's end would keep a lock that a host leaves on it.
        _ = Glibc.close(ends.host)
        descriptor = ends.device
        path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard fcntl(descriptor, F_SETFL, O_RDWR | O_NONBLOCK) == 0 else { throw SystemFailure("fcntl") }
        self.link = link
        try makeRaw()
        if let link { try Self.link(link, to: path) }
    }

    /// Eight bits, no echo, nothing translated: the kernel must not answer in the device's place. On Linux the settings
    /// of the other end can be made from this one.
    func makeRaw() throws {
        var settings = termios()
        // `settings` is a local value that outlives each call.
        guard unsafe tcgetattr(descriptor, &settings) == 0 else { throw SystemFailure("tcgetattr") }
        unsafe cfmakeraw(&settings)
        guard unsafe tcsetattr(descriptor, TCSANOW, &settings) == 0 else { throw SystemFailure("tcsetattr") }
    }

    func close() {
        // A Swift string, valid for the call; so are those below.
        if let link, Self.target(of: link) == path { _ = unsafe unlink(link) }
        _ = Glibc.close(descriptor)
    }

    /// In one step, so that whoever looks finds the old link or the new one.
    private static func link(_ link: String, to path: String) throws {
        let temporary = "\(link).\(getpid())"
        _ = unsafe unlink(temporary)
        guard unsafe symlink(path, temporary) == 0 else { throw SystemFailure("symlink") }
        guard unsafe rename(temporary, link) == 0 else { throw SystemFailure("rename") }
    }

    private static func target(of link: String) -> String? {
        var name = [CChar](repeating: 0, count: 256)
        // `name` outlives the call, and its size is passed along.
        let count = unsafe readlink(link, &name, name.count)
        guard count > 0 else { return nil }
        return String(decoding: name[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The file of a USB gadget that somebody has set up (`/dev/hidg0` of a HID function, `/dev/ttyGS0` of a serial one): the host at its
/// other end is a real kernel, behind dummy_hcd or a cable.
struct GadgetFile: DeviceLine {
    let descriptor: Int32
    let isReports: Bool

    init(path: String, isReports: Bool) throws {
        // A Swift string, valid for the call.
        descriptor = unsafe open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemFailure(path) }
        self.isReports = isReports
        try makeRaw()
    }

    /// A serial function's file is a terminal; a HID function's has no settings.
    func makeRaw() throws {
        guard isatty(descriptor) == 1 else { return }
        var settings = termios()
        // `settings` is a local value that outlives each call.
        guard unsafe tcgetattr(descriptor, &settings) == 0 else { throw SystemFailure("tcgetattr") }
        unsafe cfmakeraw(&settings)
        guard unsafe tcsetattr(descriptor, TCSANOW, &settings) == 0 else { throw SystemFailure("tcsetattr") }
    }

    func close() { _ = Glibc.close(descriptor) }
}
