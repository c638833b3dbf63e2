import Agent
import Glibc

extension Configuration {
    /// For what is done to the store while the service is stopped. Root opens the key that is sealed for the service, and goes on as the
    /// account that the store belongs to: no file of root's is left in its directory.
    /// - Parameter path: of a file that this account has to be able to read.
    func keeping(reading path: String? = nil) throws -> Keeping {
        guard geteuid() == 0 else {
            if !hasKeyFile, unsafe access(SealedKey.store, X_OK) != 0 {
                throw failInput("The master key is not in a file. Where it is sealed, only root can open it: use sudo.")
            }
            return Keeping(self)
        }
        var key: [UInt8]?
        if !hasKeyFile, SealedKey.master.isThere {
            key = try SealedKey.master.opened()
            guard key != nil else { throw failInput("\(SealedKey.master.path) can't be opened on this machine.") }
        }
        try becomeOwner()
        if let path, unsafe access(path, F_OK) == 0 || errno == EACCES, unsafe access(path, R_OK) != 0 {
            throw failInput(
                "\(path) can't be read by the agent's account. Put a copy into \(stateDirectory): "
                    + "install -o ess-agent -g ess-agent -m 600 \(path) \(stateDirectory)/backup.sqlite")
        }
        return Keeping(self, key: key)
    }

    private var hasKeyFile: Bool { unsafe access(masterKeyPath, F_OK) == 0 }

    private func becomeOwner() throws {
        var facts = stat()
        guard unsafe stat(stateDirectory, &facts) == 0, facts.st_uid != 0, let entry = unsafe getpwuid(facts.st_uid)
        else {
            return
        }
        guard unsafe initgroups(entry.pointee.pw_name, facts.st_gid) == 0, setgid(facts.st_gid) == 0,
            setuid(facts.st_uid) == 0
        else { throw failInput("The agent's account can't be taken on: \(reason(errno)).") }
    }
}
