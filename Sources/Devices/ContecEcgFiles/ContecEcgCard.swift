public import Clinical
import Formats

/// Plays the card of a Contec ECG90A: makes `.ECG` files with synthetic beats, always the same ones for the same case.
/// The name field begins with `SIM` and a digit, which marks the file as simulated wherever it is read.
public enum ContecEcgCard {
    /// What is to be wrong with a file.
    public enum Damage: String, Sendable, CaseIterable {
        case none
        /// The size is not 80 + 16 n bytes.
        case oddSize
        case noSamples
    }

    public struct Case: Sendable, Equatable {
        /// 1…9999999
        public var number: Int
        public var start: LocalTime
        public var sex: Sex
        /// Years; 0 is "not entered".
        public var age: UInt8
        /// Kilograms.
        public var weight: UInt8
        public var seconds: Int
        /// Beats per minute.
        public var heartRate: Int
        /// V1…V6 not connected.
        public var chestLeadsAbsent: Bool
        /// Bytes above 7F behind the `SIM` mark.
        public var nonASCIIName: Bool
        public var damage: Damage

        public init(
            number: Int, start: LocalTime, sex: Sex = .female, age: UInt8 = 81, weight: UInt8 = 62, seconds: Int = 10,
            heartRate: Int = 72, chestLeadsAbsent: Bool = false, nonASCIIName: Bool = false, damage: Damage = .none
        ) {
            self.number = number
            self.start = start
            self.sex = sex
            self.age = age
            self.weight = weight
            self.seconds = seconds
            self.heartRate = heartRate
            self.chestLeadsAbsent = chestLeadsAbsent
            self.nonASCIIName = nonASCIIName
            self.damage = damage
        }

        /// The name that the recorder gives the file: `0000037.ECG`.
        public var fileName: String { "\(caseNumber).ECG" }

        var caseNumber: String {
            let digits = String(min(max(number, 0), 9_999_999))
            return String(repeating: "0", count: 7 - digits.count) + digits
        }
    }

    /// The bytes of one file.
    public static func bytes(_ item: Case) -> [UInt8] {
        let name: [UInt8] =
            item.nonASCIIName
            ? Array("SIM0".utf8) + [0xC9, 0x6C, 0x6F, 0xEF]
            : Array("SIM\(item.caseNumber.suffix(5))".utf8)
        let count = item.damage == .noSamples ? 0 : max(0, item.seconds) * ContecECG.rate.numerator
        let file = ContecECG(
            caseNumber: item.caseNumber, startText: item.start.description, nameBytes: name,
            sexCode: item.sex == .female ? 0 : item.sex == .male ? 1 : 0xFF, age: item.age, weight: item.weight,
            leads: ContecEcgBeats.leads(
                samples: count, heartRate: item.heartRate, chestLeadsAbsent: item.chestLeadsAbsent))
        // Every field above has the length that the format asks for, and the beats stay within 12 bits.
        guard let bytes = try? file.encoded() else { preconditionFailure("a simulated case breaks the .ECG format") }
        return item.damage == .oddSize ? bytes.dropLast(5) : bytes
    }
}
