import CHeapMeter
import Foundation
import FuzzTargets
import Glibc

/// The parser that this process attacks: `ESS_FUZZ_TARGET`.
private let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["ESS_FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        print("ESS_FUZZ_TARGET names none of: \(FuzzTarget.all.map(\.name).joined(separator: " "))")
        exit(64)
    }
    return target
}()

/// With `ESS_FUZZ_SEEDS=FOLDER` and `ESS_FUZZ_FIXTURES=FOLDER`, only writes each target's corpus into a folder of its name.
/// `ESS_FUZZ_SHARED=FOLDER`: with real files of others in it.
private func writeSeeds() throws {
    let environment = ProcessInfo.processInfo.environment
    guard let folder = environment["ESS_FUZZ_SEEDS"], let fixtures = environment["ESS_FUZZ_FIXTURES"] else { return }
    for target in FuzzTarget.all {
        let url = URL(filePath: folder).appending(path: target.name)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        var seeds = try target.seeds(URL(filePath: fixtures))
        if let real = environment["ESS_FUZZ_SHARED"] {
            seeds += try target.realSeeds(URL(filePath: real), limit: 65536)
        }
        for (number, seed) in seeds.enumerated() {
            try Data(seed).write(to: url.appending(path: "seed-\(number)"))
        }
        print(target.name)
    }
    exit(0)
}

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>?,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    do { try writeSeeds() } catch {
        print("\(error)")
        exit(74)
    }
    // What is made once at the first use must not count as an input's.
    target.run([])
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    heap_meter_begin()
    target.run(bytes)
    let peak = Int(heap_meter_peak())
    let bound = target.heapPerByte * count + target.heapBeside
    if peak > bound {
        print("\(target.name): \(peak) bytes held for an input of \(count); the bound is \(bound)")
        fflush(nil)
        abort()
    }
    return 0
}
