/// The attributes that waveform objects are read from and written with (formats.md 1.3), as `group << 16 | element`.
enum DicomTag {
    static let characterSet: UInt32 = 0x0008_0005
    static let sopClass: UInt32 = 0x0008_0016
    static let sopInstance: UInt32 = 0x0008_0018
    static let studyDate: UInt32 = 0x0008_0020
    static let contentDate: UInt32 = 0x0008_0023
    static let acquisitionDateTime: UInt32 = 0x0008_002A
    static let studyTime: UInt32 = 0x0008_0030
    static let contentTime: UInt32 = 0x0008_0033
    static let accessionNumber: UInt32 = 0x0008_0050
    static let modality: UInt32 = 0x0008_0060
    static let manufacturer: UInt32 = 0x0008_0070
    static let institution: UInt32 = 0x0008_0080
    static let referringPhysician: UInt32 = 0x0008_0090
    static let codeValue: UInt32 = 0x0008_0100
    static let codingScheme: UInt32 = 0x0008_0102
    static let codeMeaning: UInt32 = 0x0008_0104
    static let seriesDescription: UInt32 = 0x0008_103E
    static let modelName: UInt32 = 0x0008_1090
    static let patientName: UInt32 = 0x0010_0010
    static let patientID: UInt32 = 0x0010_0020
    static let issuerOfPatientID: UInt32 = 0x0010_0021
    static let typeOfPatientID: UInt32 = 0x0010_0022
    static let issuerQualifiers: UInt32 = 0x0010_0024
    static let birthDate: UInt32 = 0x0010_0030
    static let sex: UInt32 = 0x0010_0040
    static let otherPatientIDs: UInt32 = 0x0010_1002
    static let age: UInt32 = 0x0010_1010
    static let patientComments: UInt32 = 0x0010_4000
    static let serialNumber: UInt32 = 0x0018_1000
    static let softwareVersions: UInt32 = 0x0018_1020
    static let studyInstance: UInt32 = 0x0020_000D
    static let seriesInstance: UInt32 = 0x0020_000E
    static let studyID: UInt32 = 0x0020_0010
    static let seriesNumber: UInt32 = 0x0020_0011
    static let instanceNumber: UInt32 = 0x0020_0013
    /// Of a group against the reference time, milliseconds.
    static let groupTimeOffset: UInt32 = 0x0018_1068
    static let originality: UInt32 = 0x003A_0004
    static let channelCount: UInt32 = 0x003A_0005
    static let sampleCount: UInt32 = 0x003A_0010
    static let samplingFrequency: UInt32 = 0x003A_001A
    static let groupLabel: UInt32 = 0x003A_0020
    static let channelDefinitions: UInt32 = 0x003A_0200
    static let channelLabel: UInt32 = 0x003A_0203
    static let channelSource: UInt32 = 0x003A_0208
    static let channelDerivation: UInt32 = 0x003A_020C
    static let sensitivity: UInt32 = 0x003A_0210
    static let sensitivityUnits: UInt32 = 0x003A_0211
    static let correctionFactor: UInt32 = 0x003A_0212
    static let baseline: UInt32 = 0x003A_0213
    static let sampleSkew: UInt32 = 0x003A_0215
    static let bitsStored: UInt32 = 0x003A_021A
    static let universalEntityID: UInt32 = 0x0040_0032
    static let universalEntityIDType: UInt32 = 0x0040_0033
    static let acquisitionContext: UInt32 = 0x0040_0555
    static let referencedChannels: UInt32 = 0x0040_A0B0
    static let temporalRangeType: UInt32 = 0x0040_A130
    static let referencedSamples: UInt32 = 0x0040_A132
    static let annotations: UInt32 = 0x0040_B020
    static let unformattedText: UInt32 = 0x0070_0006
    static let waveforms: UInt32 = 0x5400_0100
    static let bitsAllocated: UInt32 = 0x5400_1004
    static let interpretation: UInt32 = 0x5400_1006
    static let padding: UInt32 = 0x5400_100A
    static let waveformData: UInt32 = 0x5400_1010

    // Structured reports (formats.md 2.4).
    static let longCodeValue: UInt32 = 0x0008_0119
    static let measurementUnits: UInt32 = 0x0040_08EA
    static let valueType: UInt32 = 0x0040_A040
    static let conceptName: UInt32 = 0x0040_A043
    static let verifyingObservers: UInt32 = 0x0040_A073
    static let uid: UInt32 = 0x0040_A124
    static let textValue: UInt32 = 0x0040_A160
    static let conceptCode: UInt32 = 0x0040_A168
    static let measuredValue: UInt32 = 0x0040_A300
    static let numericValue: UInt32 = 0x0040_A30A
    static let completionFlag: UInt32 = 0x0040_A491
    static let verificationFlag: UInt32 = 0x0040_A493
    static let content: UInt32 = 0x0040_A730

    // A medium's index (PS3.3 F.3).
    static let directoryRecords: UInt32 = 0x0004_1220
    static let recordInUse: UInt32 = 0x0004_1410
    static let referencedFile: UInt32 = 0x0004_1500

    static let item: UInt32 = 0xFFFE_E000
    static let itemEnd: UInt32 = 0xFFFE_E00D
    static let sequenceEnd: UInt32 = 0xFFFE_E0DD
}

/// The registered names of what we write and read.
enum DicomName {
    static let implicitLittleEndian = "1.2.840.10008.1.2"
    static let explicitLittleEndian = "1.2.840.10008.1.2.1"
    /// Ours, from a UUID (PS3.5 B.2), so that no root had to be registered.
    static let implementation = "2.25.295262921081401888974595533401228984804"
    static let implementationVersion = "ESS_AGENT"
}
