/// Speech-like quantisation of 8 bits, finer near zero: ITU-T G.711's two laws, which DICOM allows for waveforms (PS3.3 C.10.9.1,
/// Waveform Sample Interpretation MB and AB).
///
/// The values are G.711's own decoder outputs (its tables 1 and 2): 13 bits with A-law, 14 with mu-law. DICOM names no other scale, so
/// that one of them is the unit that Channel Sensitivity speaks of.
enum Companding: String {
    case muLaw = "MB"
    case aLaw = "AB"

    var range: ClosedRange<Int> { self == .muLaw ? -8031...8031 : -4032...4032 }

    func value(_ code: UInt8) -> Int {
        switch self {
        case .muLaw:
            // Sent with all bits inverted; the steps are shifted by 33 so that each segment doubles.
            let code = ~code
            let magnitude = ((Int(code & 0x0F) * 2 + 33) << Int(code >> 4 & 7)) - 33
            return code & 0x80 == 0 ? magnitude : -magnitude
        case .aLaw:
            // Sent with the even bits inverted; the first two segments have the same step.
            let code = code ^ 0x55
            let segment = Int(code >> 4 & 7)
            let step = Int(code & 0x0F) * 2 + 1
            let magnitude = segment == 0 ? step : (step + 32) << (segment - 1)
            return code & 0x80 == 0 ? -magnitude : magnitude
        }
    }
}
