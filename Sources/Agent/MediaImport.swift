import Clinical
import Devices
import Dispatch
import FoundationEssentials
import Glibc
import Logging
import Ports
import Store
import Wire

/// A card, a stick or a folder: every file that an importer recognises by its content becomes a recording, once.
struct MediaImport: Sendable {
    let store: Store
    let clock: HostClock
    let importers: [any Importer]
    let logger: Logger

    /// - Parameters:
    ///   - path: absolute; a directory, or one file.
    ///   - person: who asked; what comes in belongs to the visit that is open now, or to nobody yet.
    func run(_ path: String, by person: String) async throws(Problem) -> ImportView {
        let (tree, only) = try await open(path)
        let visit: Visit?
        do throws(StoreError) { visit = try await store.currentVisit() } catch { throw Problem(error) }
        var view = ImportView(imported: [], known: [], failed: [], ignored: 0)
        var seen = 0
        for importer in importers {
            for item in try await find(importer, in: tree) where only == nil || item.path == [only] {
                seen += 1
                let number = seen
                let read: ImportedRecording
                do throws(ImportError) {
                    read = try await Blocking.run { () throws(ImportError) in try importer.read(item, from: tree) }
                } catch {
                    view.failed.append(ImportView.Failure(item: number, text: Self.sentence(error)))
                    continue
                }
                do throws(StoreError) {
                    try await store(read, visit: visit, by: person, into: &view)
                } catch {
                    // The laptop's trouble, not the card's: nobody should throw the card away.
                    view.failed.append(ImportView.Failure(item: number, text: Problem(error).text))
                }
            }
        }
        guard seen > 0 else { throw .nothingToImport }
        return view
    }

    private static func sentence(_ error: ImportError) -> String {
        switch error {
        case .notRecognised: "ce fichier n'est plus ce qu'il semblait être"
        case .damaged(let why): "fichier endommagé (\(why))"
        case .tree(let error): "illisible (\(Problem(error).text))"
        }
    }

    private func store(
        _ read: ImportedRecording, visit: Visit?, by person: String, into view: inout ImportView
    ) async throws(StoreError) {
        var random = SystemRandomNumberGenerator()
        let id = RecordingID(milliseconds: UInt64(clock.wall), random: &random)
        let simulated = read.device.isSimulated
        let recording = Recording(
            id: id, kind: .file, modality: read.modality, origin: simulated ? .simulated : .imported,
            device: read.device,
            channels: read.waveform.channels,
            clock: clock.facts(
                deviceStart: read.start, deviceRaw: read.rawStart, source: read.start == nil ? .unknown : .file),
            source: "\(read.device.driver)/\(DocumentHasher.sha256(read.original))", objectID: read.objectID,
            claim: read.claim)
        let binding = visit.map { Binding(visit: $0.id, reason: .openVisit, by: person, at: clock.wall) }
        switch try await store.importRecording(
            recording, waveform: read.waveform, original: read.original, notes: read.notes, binding: binding)
        {
        case .alreadyStored(let known): view.known.append("\(known)")
        case .stored(let attribution):
            view.imported.append("\(id)")
            await collect(read.notes, from: read.device)
            logger.info(
                "file imported",
                metadata: [
                    "recording": "\(id)", "driver": "\(read.device.driver)", "held": "\(attribution.isHeld)",
                ])
        }
    }

    /// What nobody knew is not only kept with the recording: it is told with the device, once. The recording is stored by now,
    /// so a failure here is only logged. No text in the log: it may repeat words of the file.
    private func collect(_ notes: [Note], from device: DeviceIdentity) async {
        let surprises = Set(notes.filter { $0.kind == .surprise }.map(\.text)).sorted().prefix(50)
        do throws(StoreError) {
            for text in surprises where try await store.surprise(text, from: device, at: clock.wall) {
                logger.notice("a file has something new", metadata: ["driver": "\(device.driver)"])
            }
        } catch {
            logger.error("what a file has that is new can't be remembered", metadata: ["error": "\(error)"])
        }
    }

    /// A directory's tree; or a file's directory, with the file's name.
    private func open(_ path: String) async throws(Problem) -> (any Tree, only: String?) {
        guard path.hasPrefix("/") else { throw .badRequest("Le chemin doit être absolu.") }
        var facts = stat()
        guard unsafe stat(path, &facts) == 0 else {
            throw .pathUnreadable(errno == EACCES ? "accès refusé à l'agent" : "il n'existe pas")
        }
        let isFile = facts.st_mode & S_IFMT == S_IFREG
        let parts = path.split(separator: "/").map(String.init)
        let directory = isFile ? "/" + parts.dropLast().joined(separator: "/") : path
        do throws(TreeError) {
            return (
                try await Blocking.run { () throws(TreeError) in try MountedTree(directory) }, isFile ? parts.last : nil
            )
        } catch {
            throw Problem(error)
        }
    }

    private func find(_ importer: any Importer, in tree: any Tree) async throws(Problem) -> [ImportItem] {
        do throws(TreeError) {
            return try await Blocking.run { () throws(TreeError) in try importer.find(in: tree) }
        } catch {
            throw Problem(error)
        }
    }
}

extension Attribution {
    var isHeld: Bool { if case .held = self { true } else { false } }
}

/// Work that blocks (a slow card, an NFS mount): on a thread of Dispatch's, never on the cooperative pool.
enum Blocking {
    private static let queue = DispatchQueue(label: "blocking", attributes: .concurrent)

    static func run<Value: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Result(catching: work)) }
        }
        return try result.get()
    }
}

extension Problem {
    init(_ error: TreeError) {
        switch error {
        case .notFound: self = .pathUnreadable("il n'existe plus")
        case .notAFile, .notADirectory: self = .pathUnreadable("ce n'est ni un dossier ni un fichier ordinaire")
        case .denied: self = .pathUnreadable("accès refusé à l'agent")
        case .tooLarge(_, let size, _): self = .pathUnreadable("un fichier est trop grand (\(size) octets)")
        case .unreadable:
            self = .pathUnreadable("la carte a été retirée ou est abîmée ; ce qui était lu est enregistré")
        }
    }

    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as StoreError: self = Problem(store: error)
        default: self = .internalFailure
        }
    }

    private init(store error: StoreError) {
        switch error {
        case .inUse: self = .alreadyRunning
        case .wrongKey:
            self = .configuration("La base est scellée avec une autre clé maîtresse. Vérifiez la clé `master-key`.")
        case .diskFull, .diskLow: self = .diskLow
        case .corrupt: self = .storage("la base est endommagée")
        case .readOnly: self = .storage("le disque est en lecture seule")
        case .denied: self = .storage("la base appartient à un autre compte")
        case .badKey: self = .storage("la clé maîtresse n'est pas utilisable")
        case .notFound: self = .recordingNotFound("-")
        case .refused(let why): self = .refused("Refusé : \(why).")
        case .system(let what): self = .storage(what)
        }
    }
}
