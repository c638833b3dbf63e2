import Agent
import Glibc

/// A key sealed to this machine by systemd-creds(1): to its TPM where there is one, else to a secret of the host. Only
/// root's systemd opens it, for the daemon alone.
struct SealedKey {
    let name: String

    static let client = SealedKey(name: "client-key")
    static let master = SealedKey(name: "master-key")
    static let store = Doctor.sealedKeys
    static let plainMaster = "/var/lib/ess-agent/master.key"

    /// Bound to the TPM and to no state of the boot: by itself systemd-creds binds to PCR 7, which an update of the firmware's list of
    /// revoked programs (dbx) changes, on every laptop of a fleet in the same week. None at all is taken by systemd 252 to seal and not to
    /// open again, so it is one that nothing extends.
    private static let registers = "--tpm2-pcrs=23"

    var path: String { "\(Self.store)/ess-agent.\(name)" }
    /// Where the daemon finds it, open.
    var credential: String { "/run/credentials/ess-agent.service/\(name)" }
    var isThere: Bool { unsafe access(path, F_OK) == 0 }

    /// - Returns: false when the same bytes are sealed already.
    func seal(_ bytes: [UInt8], withKey: String) throws -> Bool {
        if isThere, try opened() == bytes { return false }
        unsafe mkdir(Self.store, 0o700)
        let sealed = try ChildProgram(
            ["systemd-creds", "--name=\(name)", "--with-key=\(withKey)", Self.registers, "encrypt", "-", "-"],
            input: bytes)
        guard sealed.status == 0, !sealed.output.isEmpty else {
            throw failInput(
                "systemd-creds could not seal \(name) (status \(sealed.status)); --with-key=host does without a TPM.")
        }
        _ = try place(sealed.output, at: path, mode: 0o600)
        guard try opened() == bytes else {
            throw failInput("\(path) doesn't open again; it was not put into use.")
        }
        return true
    }

    /// What is sealed; nil when this machine can't open it (another machine's, another TPM's).
    func opened() throws -> [UInt8]? {
        let plain = try ChildProgram(["systemd-creds", "--name=\(name)", "decrypt", path, "-"])
        return plain.status == 0 ? plain.output : nil
    }

    /// The master key: the daemon's own, where it has made one, else a new one. The plain file goes only after the sealed
    /// one was opened.
    static func sealMaster(withKey: String) throws -> Bool {
        if unsafe access(plainMaster, F_OK) == 0 {
            let bytes = try readFile(plainMaster, limit: 4096)
            if master.isThere, try master.opened() != bytes {
                throw failInput(
                    "\(plainMaster) and \(master.path) are different keys. The database needs one of them: keep both, "
                        + "and ask for help.")
            }
            _ = try master.seal(bytes, withKey: withKey)
            // On the disk, with its name, before the plain one goes.
            sync()
            unsafe unlink(plainMaster)
            print("\(plainMaster) is sealed now, and the plain file is gone")
            return true
        }
        if master.isThere {
            guard try master.opened() != nil else {
                throw failInput(
                    "\(master.path) can't be opened on this machine. Without it the database stays shut: "
                        + "put the backup back.")
            }
            return false
        }
        guard unsafe access("/var/lib/ess-agent/ess-agent.sqlite", F_OK) != 0 else {
            throw failInput(
                "There is a database, but no key to it. A new key would not open it: put the backup of the key back.")
        }
        // The kernel's own random numbers: getrandom(2).
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        return try master.seal(bytes, withKey: withKey)
    }
}
