import Glibc

/// A program of the system that is run to its end: its status and what it wrote, with bytes given to it on its standard input (a key
/// never travels in an argument).
struct ChildProgram {
    let status: Int32
    let output: [UInt8]

    /// - Throws: when the program can't be started.
    init(_ arguments: [String], input: [UInt8] = []) throws {
        var ends: (input: [Int32], output: [Int32]) = ([-1, -1], [-1, -1])
        guard unsafe pipe(&ends.input) == 0, unsafe pipe(&ends.output) == 0 else {
            throw failInput("\(arguments[0]): \(reason(errno)).")
        }
        // The child keeps only its two copies: else it would hold its own input open.
        for end in ends.input + ends.output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, ends.input[0], STDIN_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, ends.output[1], STDOUT_FILENO)
        // C wants a null-terminated array of strings; all live until the call returns.
        var strings = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe strings.forEach { unsafe free($0) } }
        var child = pid_t()
        let code = unsafe posix_spawnp(&child, arguments[0], &actions, nil, &strings, environ)
        close(ends.input[0])
        close(ends.output[1])
        guard code == 0 else {
            close(ends.input[1])
            close(ends.output[0])
            throw failInput("\(arguments[0]) can't be started: \(reason(code)).")
        }
        // What is given fits in a pipe (keys are small), so the child can't block us before we read.
        precondition(input.count <= 32_768)
        signal(SIGPIPE, SIG_IGN)
        _ = unsafe input.withUnsafeBytes { unsafe write(ends.input[1], $0.baseAddress, $0.count) }
        close(ends.input[1])
        output = Self.read(ends.output[0])
        close(ends.output[0])
        var ended: Int32 = 0
        _ = unsafe waitpid(child, &ended, 0)
        status = ended & 0x7F == 0 ? (ended >> 8) & 0xFF : 128 + (ended & 0x7F)
    }

    private static func read(_ descriptor: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return bytes
    }
}
