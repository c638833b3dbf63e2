/// Every device and every kind of file that the agent knows. Adding one is one line here, one folder, one fixture folder.
public enum Registry {
    /// In the order in which a port that several of them could be is tried: who only listens comes first.
    public static let dialogues: [DialogueProfile] = [
        ContecLegacyOximeter.profile,
        ContecOximeter.profile,
        OmronPressure.profile,
        BeurerPressure.profile,
        BeurerSerial.profile,
        ContecEcg90a.profile,
        Contec8000.profile,
        Phdc.profile,
    ]

    public static let importers: [any Importer] = [
        ContecEcgFiles(),
        ResmedCard(),
        EasyEcgFiles(),
        OximeterFiles(),
        SignalFiles(),
        DicomMedia(),
    ]
}
