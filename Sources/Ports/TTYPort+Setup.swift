import Glibc
import Wire

/// Blocking: not on the cooperative pool, not on the ports thread.
func openTTY(_ path: String, line: SerialLine) throws(PortError) -> Int32 {
    guard let speed = standardSpeed(line.speed) else { throw .system("speed", EINVAL) }
    let tty = unsafe Glibc.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
    guard tty >= 0 else { throw openError("open") }
    do throws(PortError) {
        // TIOCEXCL doesn't stop root: the lock is what makes two agents see each other.
        guard flock(tty, LOCK_EX | LOCK_NB) == 0 else {
            throw errno == EWOULDBLOCK ? .busy : openError("flock")
        }
        guard ioctl(tty, UInt(TIOCEXCL)) == 0 else { throw openError("TIOCEXCL") }
        try configure(tty, line: line, speed: speed)
    } catch {
        _ = Glibc.close(tty)
        throw error
    }
    return tty
}

private func configure(_ tty: Int32, line: SerialLine, speed: speed_t) throws(PortError) {
    var settings = termios()
    // The structure is ours and lives through each call.
    guard unsafe tcgetattr(tty, &settings) == 0 else { throw openError("tcgetattr") }
    // 0x11 and 0x13 are data (devices.md 3.1), and so is everything else.
    settings.c_iflag = tcflag_t(IGNBRK)
    settings.c_oflag = 0
    settings.c_lflag = 0
    settings.c_cflag &= ~(tcflag_t(CSIZE | PARENB | PARODD | CSTOPB) | tcflag_t(CRTSCTS))
    settings.c_cflag |= tcflag_t(CS8 | CREAD | CLOCAL)
    switch line.parity {
    case .none: break
    case .odd: settings.c_cflag |= tcflag_t(PARENB | PARODD)
    case .even: settings.c_cflag |= tcflag_t(PARENB)
    }
    // VTIME 0, VMIN 1: a read of nothing is EAGAIN, and 0 bytes can only mean the end.
    settings.c_cc.5 = 0
    settings.c_cc.6 = 1
    guard unsafe cfsetispeed(&settings, speed) == 0, unsafe cfsetospeed(&settings, speed) == 0 else {
        throw .system("speed", EINVAL)
    }
    if unsafe tcsetattr(tty, TCSANOW, &settings) != 0 {
        let error = errno
        guard error == EINVAL, hasNoLine(tty) else {
            errno = error
            throw openError("tcsetattr")
        }
        // A pty drops the parity that it can't have, and glibc takes that for a failure. All else is set.
        var taken = termios()
        let parity = tcflag_t(PARENB | PARODD)
        guard unsafe tcgetattr(tty, &taken) == 0, taken.c_cflag & ~parity == settings.c_cflag & ~parity,
            taken.c_iflag == settings.c_iflag, taken.c_oflag == settings.c_oflag, taken.c_lflag == settings.c_lflag
        else { throw .system("tcsetattr", EINVAL) }
    }
    // A pty has no modem lines.
    var lines = TIOCM_DTR | TIOCM_RTS
    if unsafe ioctl(tty, UInt(TIOCMBIS), &lines) != 0, errno == EIO || errno == ENODEV { throw .gone }
    guard tcflush(tty, TCIFLUSH) == 0 else { throw openError("tcflush") }
}

private func hasNoLine(_ tty: Int32) -> Bool {
    var lines: Int32 = 0
    // Of the size that the request takes.
    return unsafe ioctl(tty, UInt(TIOCMGET), &lines) != 0
}

private func openError(_ call: String) -> PortError {
    switch errno {
    case EBUSY: .busy
    case EACCES, EPERM: .denied
    case ENOENT, ENXIO, ENODEV, EIO: .gone
    case let error: .system(call, error)
    }
}

private func standardSpeed(_ bitsPerSecond: Int) -> speed_t? {
    let speeds: [Int: Int32] = [
        1200: B1200, 2400: B2400, 4800: B4800, 9600: B9600, 19200: B19200, 38400: B38400, 57600: B57600,
        115_200: B115200, 230_400: B230400, 460_800: B460800, 921_600: B921600,
    ]
    return speeds[bitsPerSecond].map { speed_t($0) }
}
