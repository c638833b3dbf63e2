import Clinical
import Wire

/// Section 4: where the beats are, and what that means for a rhythm that was made smaller with them (formats.md 4.2, 4.3): a
/// reference beat was subtracted around each fiducial point, and outside the protected stretches only one sample in `rate` is
/// there. Positions count from 1 in samples of the reference beat's rate. No file that we know does either.
struct SCPBeats {
    private struct Beat {
        var type: Int
        var start: Int
        var fiducial: Int
        var end: Int
    }

    /// Of the reference beat, milliseconds.
    private(set) var length: Int
    private var fiducial: Int
    private var beats: [Beat] = []
    private var protected: [ClosedRange<Int>] = []

    /// Nil when it is cut short.
    init?(_ body: ArraySlice<UInt8>) {
        var reader = ByteReader(body)
        do {
            length = Int(try reader.littleEndian(UInt16.self))
            fiducial = Int(try reader.littleEndian(UInt16.self))
            let count = Int(try reader.littleEndian(UInt16.self))
            for _ in 0..<count {
                let type = Int(try reader.littleEndian(UInt16.self))
                let start = Int(try reader.littleEndian(UInt32.self))
                let point = Int(try reader.littleEndian(UInt32.self))
                beats.append(
                    Beat(type: type, start: start, fiducial: point, end: Int(try reader.littleEndian(UInt32.self))))
            }
            // They may be missing altogether.
            for _ in 0..<(reader.remaining >= 8 * count ? count : 0) {
                let start = Int(try reader.littleEndian(UInt32.self))
                let end = Int(try reader.littleEndian(UInt32.self))
                if end > start { protected.append(start...end) }
            }
        } catch {
            return nil
        }
        protected.sort { $0.lowerBound < $1.lowerBound }
    }

    /// Samples of the reference beat, never more than its two bytes of milliseconds allow.
    func samples(at rate: Ratio) -> Int {
        Ratio(length, 1000).times(rate).map { $0.numerator / $0.denominator } ?? 0
    }

    /// Beats from which the reference was subtracted.
    var subtracted: Int { beats.lazy.filter { $0.type == 0 }.count }

    /// Gives each beat of the reference's type what was taken from it.
    /// - Parameters:
    ///   - start: the position of the first sample.
    ///   - reference: in the rhythm's steps.
    func add(_ reference: [Int], to samples: inout [Int], from start: Int) {
        for beat in beats where beat.type == 0 {
            let first = max(beat.start, start, beat.fiducial - fiducial + 1)
            let last = min(beat.end, start + samples.count - 1, beat.fiducial - fiducial + reference.count)
            guard first <= last else { continue }
            for position in first...last {
                samples[position - start] += reference[position - beat.fiducial + fiducial - 1]
            }
        }
    }

    /// Fills up what was thinned out: between the means of neighbouring blocks lies a straight line.
    /// - Parameters:
    ///   - stored: samples as in the file.
    ///   - rate: samples of which one is stored outside the protected stretches.
    ///   - count: samples wanted; fewer come when the file holds fewer.
    func expanded(_ stored: [Int], rate: Int, count: Int, from start: Int, thinnedOut: Bool) -> [Int] {
        var samples: [Int] = []
        samples.reserveCapacity(min(count, stored.count * rate))
        // Blocks of a stretch that was thinned out, until it ends.
        var means: [Int] = []
        func flush() {
            let length = min(means.count * rate, count - samples.count)
            for offset in 0..<max(0, length) {
                // Twice the distance from the first block's middle, so that halves stay whole numbers.
                let twice = 2 * offset - (rate - 1)
                let block = min(max(0, twice / (2 * rate)), means.count - 1)
                let next = min(block + 1, means.count - 1)
                let within = min(max(0, twice - 2 * rate * block), 2 * rate)
                let sum = means[block] * (2 * rate - within) + means[next] * within
                samples.append(Int((Double(sum) / Double(2 * rate)).rounded()))
            }
            means = []
        }
        var zone = 0
        for value in stored {
            let position = start + samples.count + means.count * rate
            guard position < start + count else { break }
            while zone < protected.count, protected[zone].upperBound < position { zone += 1 }
            let isProtected = thinnedOut && zone < protected.count && protected[zone].contains(position)
            if isProtected {
                flush()
                samples.append(value)
            } else {
                means.append(value)
            }
        }
        flush()
        return samples
    }
}
