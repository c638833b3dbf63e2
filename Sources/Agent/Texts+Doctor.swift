import Store

/// The words of `ess-agent doctor`, both languages side by side: what is, and what to do about it.
extension Finding {
    static let permissionsWell = Finding(
        "permissions", .well, "Le dossier des données n'est lisible que par l'agent.",
        "The state directory is readable by the agent only.")
    static let noStateDirectory = Finding(
        "permissions", .failure,
        "Le dossier des données n'existe pas. Démarrez l'agent (`systemctl start ess-agent`), ou corrigez `state-directory`.",
        "The state directory doesn't exist. Start the agent (`systemctl start ess-agent`), or correct `state-directory`."
    )
    static let stateDirectoryDenied = Finding(
        "permissions", .attention,
        "Le dossier des données n'est pas visible pour vous (c'est voulu). Recommencez avec `sudo` pour tout vérifier.",
        "The state directory can't be seen by you (as it should be). Use `sudo` to check everything.")
    static let stateDirectoryIsNone = Finding(
        "permissions", .failure, "À la place du dossier des données se trouve un fichier. Corrigez `state-directory`.",
        "Where the state directory should be there is a file. Correct `state-directory`.")
    static let stateDirectoryOpen = Finding(
        "permissions", .failure,
        "Le dossier des données est ouvert à d'autres comptes. Redémarrez l'agent, ou `chmod 700` sur ce dossier.",
        "The state directory is open to other accounts. Restart the agent, or `chmod 700` it.")
    static let databaseOpen = Finding(
        "permissions", .failure,
        "La base est lisible par d'autres comptes. Redémarrez l'agent : il remet les droits ; sinon `chmod 600`.",
        "The database is readable by other accounts. Restart the agent, which repairs it; else `chmod 600`.")

    static let keyFromCredential = Finding(
        "key", .well, "La clé maîtresse vient d'un secret protégé par systemd.",
        "The master key comes from a systemd credential.")
    static let keyFile = Finding(
        "key", .attention,
        "La clé maîtresse est un simple fichier : qui vole le disque vole la clé, sauf si le disque est chiffré. "
            + "`sudo ess-agent setup` la scelle.",
        "The master key is a plain file: who steals the disk has it, unless the disk is encrypted. "
            + "`sudo ess-agent setup` seals it.")
    static let keySealed = Finding(
        "key", .well, "La clé maîtresse est scellée ; le service l'ouvre à son démarrage.",
        "The master key is sealed; the service opens it when it starts.")
    static let keyOpen = Finding(
        "key", .failure, "Le fichier de la clé maîtresse est ouvert à d'autres comptes : `chmod 600` sur ce fichier.",
        "The master key's file is open to other accounts: `chmod 600` it.")
    static let keyNotYet = Finding(
        "key", .well, "Pas encore de clé maîtresse : elle est créée au premier démarrage.",
        "No master key yet: it is made at the first start.")
    static let keyLost = Finding(
        "key", .failure,
        "La clé maîtresse a disparu : sans elle, rien de cet ordinateur n'est lisible. N'en créez pas d'autre ; remettez "
            + "la copie gardée à part. Ce que le centre a reçu n'est pas perdu.",
        "The master key is gone: without it nothing on this laptop can be read. Don't make another; put the copy back "
            + "that was kept apart. What the centre has received is not lost.")
    static let keyUnusable = Finding(
        "key", .failure,
        "Le fichier de la clé maîtresse n'a pas 32 octets : il est abîmé. Remettez la copie gardée à part.",
        "The master key's file doesn't have 32 bytes: it is damaged. Put the copy back that was kept apart.")
    static let keyDenied = Finding(
        "key", .attention,
        "La clé maîtresse n'est pas visible pour vous (c'est voulu). Recommencez avec `sudo` pour tout vérifier.",
        "The master key can't be seen by you (as it should be). Use `sudo` to check everything.")

    static let certificateMissing = Finding(
        "server", .failure,
        "Un certificat nommé dans la configuration manque (`server-ca`, `client-certificate`, `client-key`). "
            + "Demandez un nouvel enrôlement au centre.",
        "A certificate that the configuration names is missing (`server-ca`, `client-certificate`, `client-key`). "
            + "Ask the centre to enrol this laptop again.")
    static let clientKeyOpen = Finding(
        "permissions", .failure,
        "La clé de cet ordinateur (`client-key`) est lisible par tous : `chmod 640`, groupe ess-agent.",
        "This laptop's key (`client-key`) is readable by everybody: `chmod 640`, group ess-agent.")

    static func diskWell(_ free: Int64) -> Finding {
        Finding("disk", .well, "Disque : \(free / 1_000_000_000) Go libres.", "Disk: \(free / 1_000_000_000) GB free.")
    }
    static func diskLow(_ free: Int64) -> Finding {
        Finding(
            "disk", .attention,
            "Disque : plus que \(free / 1_000_000) Mo libres. Videz la corbeille et les téléchargements ; "
                + "`ess-agent purge --dry-run` dit ce que l'agent garde et pourquoi.",
            "Disk: only \(free / 1_000_000) MB free. Empty the bin and the downloads; "
                + "`ess-agent purge --dry-run` says what the agent keeps and why.")
    }
    static func diskFull(_ free: Int64) -> Finding {
        Finding(
            "disk", .failure,
            "Disque presque plein (\(free / 1_000_000) Mo) : aucune capture ne peut commencer. Libérez au moins 500 Mo.",
            "Disk almost full (\(free / 1_000_000) MB): no capture can begin. Make at least 500 MB free.")
    }

    static let clockInThePast = Finding(
        "clock", .failure,
        "L'horloge de l'ordinateur est fausse (date passée). Réglez-la, ou connectez-vous à Internet et attendez.",
        "The laptop's clock is wrong (in the past). Set it, or connect to the internet and wait.")
    static let clockNotSynchronised = Finding(
        "clock", .attention,
        "L'horloge n'est pas synchronisée : les heures sont notées comme incertaines. Normal hors ligne ; sinon "
            + "`timedatectl set-ntp true`.",
        "The clock isn't synchronised: times are recorded as uncertain. Normal offline; else `timedatectl set-ntp true`."
    )
    static func clockWell(isKnown: Bool) -> Finding {
        isKnown
            ? Finding("clock", .well, "Horloge synchronisée.", "Clock synchronised.")
            : Finding(
                "clock", .well, "Horloge plausible ; sa synchronisation n'a pas pu être vérifiée.",
                "Clock plausible; whether it is synchronised could not be asked.")
    }
    static let zoneIsUTC = Finding(
        "clock", .attention,
        "Le fuseau horaire est UTC : les heures des appareils seraient décalées. `timedatectl set-timezone Europe/Paris`.",
        "The time zone is UTC: devices' times would be shifted. `timedatectl set-timezone Europe/Paris`.")

    static let udevWell = Finding("device", .well, "Les branchements USB sont surveillés.", "USB arrivals are watched.")
    static let udevMissing = Finding(
        "device", .attention, "udev ne tourne pas : les appareils sont cherchés plus lentement.",
        "udev doesn't run: devices are looked for more slowly.")

    public static let agentStopped = Finding(
        "agent", .failure, "L'agent ne tourne pas : `systemctl start ess-agent`, puis `journalctl -u ess-agent`.",
        "The agent doesn't run: `systemctl start ess-agent`, then `journalctl -u ess-agent`.")
    static func agentWell(_ version: String) -> Finding {
        Finding("agent", .well, "L'agent tourne (version \(version)).", "The agent runs (version \(version)).")
    }

    static func storeWell(_ isThorough: Bool) -> Finding {
        isThorough
            ? Finding(
                "store", .well, "La base est saine : chaque enregistrement a été relu et vérifié.",
                "The store is sound: every recording was read again and checked.")
            : Finding(
                "store", .well, "La base est saine (`--thorough` relit aussi chaque enregistrement).",
                "The store is sound (`--thorough` reads every recording as well).")
    }
    static func storeDamaged(_ report: IntegrityReport) -> Finding {
        let counts = "\(report.damaged.count) / \(report.damaged.count + report.readable.count)"
        return Finding(
            "store", .failure,
            "La base est endommagée (enregistrements touchés : \(counts)). Le reste est lisible et part normalement. "
                + "Faites une copie (`ess-agent backup`), puis prévenez l'administrateur : le disque s'use peut-être.",
            "The store is damaged (recordings concerned: \(counts)). The rest can be read and is sent as usual. "
                + "Make a copy (`ess-agent backup`), then call the administrator: the disk may be wearing out. "
                + (report.problems + report.damaged.map { "\($0.recording): \($0.what)" }).prefix(10).joined(
                    separator: "; "))
    }
    static let auditWell = Finding("audit", .well, "Le journal d'audit est intact.", "The audit trail is intact.")
    static func auditBroken(_ entry: Int64?) -> Finding {
        Finding(
            "audit", .failure,
            "Le journal d'audit a été altéré (ligne \(entry.map(String.init) ?? "?")). Prévenez l'administrateur ; ne changez rien.",
            "The audit trail was altered (entry \(entry.map(String.init) ?? "?")). Call the administrator; change nothing."
        )
    }

    static let noServer = Finding(
        "server", .attention, "Aucun centre n'est configuré : tout est gardé ici, rien n'est envoyé (clé `server`).",
        "No server is configured: everything is kept here, nothing is sent (key `server`).")
    static func server(_ view: SyncView) -> Finding {
        let contact = view.lastContact.map { " (dernier contact : \($0))" } ?? ""
        let lastly = view.lastContact.map { " (last contact: \($0))" } ?? ""
        guard let problem = view.problem else {
            return Finding("server", .well, view.sentence + contact, "Server link: \(view.state)\(lastly).")
        }
        // Being offline is what this program is for.
        let isOffline = view.state == "offline" && problem != "certificate" && problem != "unauthorised"
        return Finding(
            "server", isOffline ? .attention : .failure, view.sentence + contact,
            "Server link: \(problem)\(view.detail.map { ", \($0)" } ?? "")\(lastly).")
    }

    static let noDevices = Finding("device", .well, "Aucun appareil branché.", "No device is plugged in.")
    static func device(_ device: DeviceView) -> Finding {
        let what = device.title.isEmpty ? device.name : device.title
        switch device.state {
        case "ready", "capturing", "downloading", "erasing", "probing":
            return Finding("device", .well, "\(what) : reconnu.", "\(what): recognised (\(device.state)).")
        case "denied":
            return Finding(
                "device", .failure,
                "\(what) : l'agent n'a pas le droit de l'utiliser. Règles udev installées ? Débranchez, rebranchez.",
                "\(what): the agent may not use it. Are the udev rules installed? Unplug it and plug it in again.")
        case "busy":
            return Finding(
                "device", .attention,
                "\(what) : utilisé par un autre programme (celui du fabricant ?). Fermez-le, puis rebranchez.",
                "\(what): in use by another program (the vendor's?). Close that, then plug it in again.")
        default:
            return Finding(
                "device", .attention, "\(what) : ne répond pas. Allumez-le, vérifiez le câble.",
                "\(what): doesn't answer. Switch it on, check the cable.")
        }
    }
    static func surprises(_ device: String, _ texts: [String]) -> Finding {
        Finding(
            "device", .attention,
            "\(device) a dit \(texts.count) chose(s) inconnue(s) de l'agent. Rien n'est perdu ; envoyez un `ess-agent report`.",
            "\(device) said \(texts.count) thing(s) that its driver doesn't know. Nothing is lost; send an "
                + "`ess-agent report`: " + texts.prefix(5).joined(separator: "; "))
    }

    static func decisions(unattributed: Int, held: Int, undated: Int, quarantined: Int) -> Finding? {
        guard unattributed + held + undated + quarantined > 0 else { return nil }
        return Finding(
            "decisions", .attention,
            "À décider : \(unattributed) sans patient (dont \(held) d'identité contradictoire), \(undated) sans heure de début, "
                + "\(quarantined) à signaler au centre. `ess-agent recordings` les montre.",
            "To be decided: \(unattributed) without a patient (\(held) of them with contradicting identities), \(undated) "
                + "without a start time, \(quarantined) to report to the centre. `ess-agent recordings` shows them.")
    }
}
