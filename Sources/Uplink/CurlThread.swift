import CCurl
import Glibc
import Synchronization

/// Where the requests of a client go.
enum Transport: Sendable {
    case tls(TLSFiles, proxy: String?)
    case unixSocket(String)
}

func isReadable(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }

/// `curl_global_init` once per process; with OpenSSL 1.1 or later and NOSIGNAL nothing in it is undone.
private let globalResult: CURLcode = curl_global_init(3)  // CURL_GLOBAL_ALL: a macro that Swift does not see

/// The thread that owns one curl multi handle. Nobody else calls libcurl, but for `curl_multi_wakeup` (anchors.md 5.4).
///
/// @unchecked Sendable: `shared` is a Mutex; `transfers` and `stale` are touched by the thread alone.
///
/// @safe: the handles never leave the thread (the lock, for the wakeup).
@safe final class CurlThread: @unchecked Sendable {
    private enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case feed(Transfer, offset: Int, bytes: [UInt8]?)
        case dropConnections
        case interrupt
        case stop
    }

    /// @safe: the pointer is used under the lock, for the wakeup only.
    @safe private struct Shared {
        var commands: [Command] = []
        var accepting = true
        /// Nil once the thread has freed it.
        var multi: Raw
    }

    private let transport: Transport
    private let shared: Mutex<Shared>
    /// By the address of their easy handle.
    private var transfers: [Int: Transfer] = [:]
    /// Whether connections made before a change of network are still in the pool.
    private var stale = false

    init(_ transport: Transport) throws(UplinkError) {
        guard globalResult == CURLE_OK, let multi = unsafe Self.makeMulti() else {
            throw .local("libcurl cannot be initialised")
        }
        self.transport = transport
        shared = unsafe Mutex(Shared(multi: Raw(multi)))
        var thread = pthread_t()
        // The thread keeps itself alive until `stop`; the owner's deinit sends that.
        let box = unsafe Unmanaged.passRetained(self).toOpaque()
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<CurlThread>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box)
        guard code == 0 else {
            unsafe Unmanaged<CurlThread>.fromOpaque(box).release()
            throw .local("no thread for the HTTP client")
        }
        pthread_detach(thread)
    }

    /// Idle connections that are kept. libcurl's own limit follows the requests of the moment, so that after a few at once all but four
    /// are closed; a new one costs as much of the processor as several megabytes (OpenSSL reads certificate and key again).
    private static let connections = 8

    private static func makeMulti() -> UnsafeMutableRawPointer? {
        guard let multi = unsafe curl_multi_init() else { return nil }
        _ = unsafe ess_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connections)
        return unsafe multi
    }

    func start(_ transfer: Transfer) {
        // Weak: a piece may come after the end of its transfer.
        transfer.fetched = { [weak self, weak transfer] offset, bytes in
            guard let transfer else { return }
            _ = self?.post(.feed(transfer, offset: offset, bytes: bytes))
        }
        if !post(.start(transfer)) { transfer.finish(.failure(.cancelled)) }
    }

    func cancel(_ transfer: Transfer) {
        // First the flag: the command to start may come after this one.
        transfer.isCancelled.store(true, ordering: .releasing)
        _ = post(.cancel(transfer))
    }

    func interrupt() { _ = post(.interrupt) }

    func dropConnections() { _ = post(.dropConnections) }

    func stop() { _ = post(.stop) }

    private func post(_ command: Command) -> Bool {
        shared.withLock { state in
            guard state.accepting else { return false }
            if case .stop = command { state.accepting = false }
            state.commands.append(command)
            // Under the lock, so that the thread can't free the handle meanwhile.
            if let multi = unsafe state.multi.pointer { _ = unsafe curl_multi_wakeup(multi) }
            return true
        }
    }

    private func run() {
        guard var multi = unsafe shared.withLock({ unsafe $0.multi }).pointer else { return }
        var running = true
        while running {
            let commands = shared.withLock { state in
                let commands = state.commands
                state.commands = []
                return commands
            }
            for command in commands {
                switch command {
                case .start(let transfer): unsafe begin(transfer, multi)
                case .cancel(let transfer): unsafe abandon(transfer, multi)
                case .feed(let transfer, let offset, let bytes): unsafe feed(transfer, offset, bytes, multi)
                case .dropConnections: stale = true
                case .interrupt:
                    for transfer in transfers.values {
                        unsafe end(transfer, multi, .failure(.link("the network has changed")))
                    }
                    stale = true
                case .stop: running = false
                }
            }
            guard running else { break }
            if stale, transfers.isEmpty, let fresh = unsafe Self.makeMulti() {
                // The only way to close a handle's idle connections is to close the handle.
                let old = unsafe multi
                let replacement = unsafe Raw(fresh)
                shared.withLock { unsafe $0.multi = replacement }
                _ = unsafe curl_multi_cleanup(old)
                unsafe multi = fresh
                stale = false
                // A command posted since the list was taken woke the old handle: look again before sleeping on the new one.
                continue
            }
            var active: Int32 = 0
            _ = unsafe curl_multi_perform(multi, &active)
            unsafe collect(multi)
            // libcurl shortens the wait to its own timers; commands end it through the wakeup.
            _ = unsafe curl_multi_poll(multi, nil, 0, 60_000, nil)
        }
        for transfer in transfers.values { unsafe end(transfer, multi, .failure(.cancelled)) }
        shared.withLock { unsafe $0.multi = unsafe Raw(nil) }
        _ = unsafe curl_multi_cleanup(multi)
    }

    private func begin(_ transfer: Transfer, _ multi: UnsafeMutableRawPointer) {
        guard !transfer.isCancelled.load(ordering: .acquiring) else { return transfer.finish(.failure(.cancelled)) }
        do throws(UplinkError) {
            let easy = unsafe try transfer.prepare(transport, fresh: stale)
            guard unsafe curl_multi_add_handle(multi, easy) == CURLM_OK else {
                throw .local("libcurl refuses the request")
            }
            transfers[Int(bitPattern: easy)] = transfer
        } catch {
            transfer.release()
            transfer.finish(.failure(error))
        }
    }

    private func abandon(_ transfer: Transfer, _ multi: UnsafeMutableRawPointer) {
        guard let easy = unsafe transfer.easy, transfers[Int(bitPattern: easy)] === transfer else { return }
        unsafe end(transfer, multi, .failure(.cancelled))
    }

    private func feed(_ transfer: Transfer, _ offset: Int, _ bytes: [UInt8]?, _ multi: UnsafeMutableRawPointer) {
        guard let easy = unsafe transfer.easy, transfers[Int(bitPattern: easy)] === transfer else { return }
        guard transfer.take(bytes, at: offset) else {
            return unsafe end(transfer, multi, .failure(transfer.ownRefusal))
        }
        _ = unsafe curl_easy_pause(easy, 0)  // CURLPAUSE_CONT
    }

    private func collect(_ multi: UnsafeMutableRawPointer) {
        var left: Int32 = 0
        while let message = unsafe curl_multi_info_read(multi, &left) {
            guard unsafe message.pointee.msg == CURLMSG_DONE, let easy = unsafe message.pointee.easy_handle,
                let transfer = transfers[Int(bitPattern: easy)]
            else { continue }
            // The message does not outlive the removal of its handle.
            let code = unsafe ess_curl_message_result(message)
            unsafe end(transfer, multi, transfer.outcome(code))
        }
    }

    private func end(
        _ transfer: Transfer, _ multi: UnsafeMutableRawPointer, _ result: Result<HTTPResponse, UplinkError>
    ) {
        if let easy = unsafe transfer.easy {
            transfers[Int(bitPattern: easy)] = nil
            _ = unsafe curl_multi_remove_handle(multi, easy)
        }
        transfer.release()
        transfer.finish(result)
    }
}

/// @unchecked Sendable: carries the multi handle out of the lock to the one thread that uses it.
@unsafe private struct Raw: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer?
    init(_ pointer: UnsafeMutableRawPointer?) { unsafe self.pointer = pointer }
}
