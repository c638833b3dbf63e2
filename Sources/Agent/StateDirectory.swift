import Glibc
import Store

/// The directory that holds everything: made if it isn't there, for us alone.
enum StateDirectory {
    static func prepare(_ path: String) throws(StoreError) {
        guard unsafe mkdir(path, 0o700) != 0, errno != EEXIST else { return }
        let code = errno
        if code == EACCES || code == EPERM { throw .denied("the state directory \(path)") }
        if code == EROFS { throw .readOnly }
        guard code == ENOENT else {
            throw .system("the state directory \(path) can't be made: \(unsafe String(cString: strerror(code)))")
        }
        let parent = path.split(separator: "/").dropLast().joined(separator: "/")
        guard !parent.isEmpty else { throw .system("the state directory \(path) can't be made") }
        try prepare("/" + parent)
        try prepare(path)
    }
}
