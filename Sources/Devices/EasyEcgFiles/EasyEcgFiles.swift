public import Clinical
public import Wire

/// The memory of a Heal Force or Creative PC-80B ("Easy ECG"), or of a PC-180D: `.SCP` files that are no SCP-ECG, one
/// recording of 30 s each (devices.md 6.2).
public struct EasyEcgFiles: Importer {
    public let name = "easy-ecg-files"
    public let title = "Heal Force PC-80B / PC-180D memory (.SCP files)"
    /// Layout and checksums from two sources and real files; scale and leads are marked as unverified in each channel.
    public let support = SupportLevel.singleSource

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        try FileWalk.files(in: tree) { path, size in
            guard (EasyEcgFile.headerSize...FileWalk.sizeLimit).contains(size),
                let header = try? tree.read(path, offset: 0, count: EasyEcgFile.headerSize),
                EasyEcgFile.model(of: header) != nil
            else { return }
            items.append(ImportItem(path: path, size: size))
        }
        return items
    }

    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        let file = try EasyEcgFile(bytes)
        return ImportedRecording(
            modality: .ecg,
            device: DeviceIdentity(
                driver: name, vendor: "Heal Force", model: file.model.name, serial: file.simulatedSerial,
                support: support),
            waveform: file.waveform, original: bytes, start: file.start, rawStart: file.startText,
            claim: file.patientID.map { IdentityClaim(patientID: $0) }, notes: file.notes)
    }
}
