import Agent
import ArgumentParser
import Glibc

/// `ess-agent open`: what the desktop's icon starts.
struct OpenPage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Open the page in the browser.",
        discussion: "The way in works once, for a minute, for this account.")
    @OptionGroup var options: ClientOptions
    @Flag(name: .customLong("print"), help: "Only print the address; whoever opens it first is in.") var isPrinted =
        false

    func run() async throws {
        let token: PageTokenView = try await options.client().post("/api/page/token", PageTokenRequest(by: account()))
        if isPrinted { return print(token.url) }
        // Arguments of a process can be read by every account, so the browser is given a private file that leads on.
        let file = try PrivateFile(
            """
            <!DOCTYPE html><html lang="fr"><meta charset="utf-8"><title>ESS</title>
            <meta name="referrer" content="no-referrer">
            <meta http-equiv="refresh" content="0;url=\(token.url)"><a href="\(token.url)">\(Texts.openPage)</a></html>
            """)
        defer { file.remove() }
        guard launch(["xdg-open", file.path]) else { throw fail(.browserNotFound) }
        // The browser has time to read it; after that the token is used or worthless.
        try? await Task.sleep(for: .seconds(20))
    }

    /// Runs a program from the PATH and waits for it. False when it isn't there or failed.
    private func launch(_ arguments: [String]) -> Bool {
        var child = pid_t()
        // C wants a null-terminated array of strings; all live until the call returns.
        var strings = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe strings.forEach { unsafe free($0) } }
        guard unsafe posix_spawnp(&child, arguments[0], nil, nil, &strings, environ) == 0 else { return false }
        var status: Int32 = 0
        guard unsafe waitpid(child, &status, 0) == child else { return false }
        return status == 0
    }
}

/// A file that only this account can read: in its runtime directory, else in a new directory under /tmp.
private struct PrivateFile {
    let path: String
    private let directory: String

    init(_ text: String) throws {
        let base = unsafe getenv("XDG_RUNTIME_DIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/ess-agent-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw failInput("\(base): \(reason(errno)).") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        path = "\(directory)/page.html"
        try writeNew(Array(text.utf8), to: path)
    }

    func remove() {
        unsafe unlink(path)
        unsafe rmdir(directory)
    }
}
