// swift-tools-version: 6.2
import Foundation
import PackageDescription

// Warnings are errors where it matters (CI and `make test`); a newer compiler's new warning must not
// stop somebody who only wants to run the agent.
let strict = ProcessInfo.processInfo.environment["CI"] != nil

let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .strictMemorySafety(),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

func source(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// One in each device's folder; found here so that a new device needs no line in this file.
let checklists =
    (try? FileManager.default.contentsOfDirectory(atPath: "\(Context.packageDirectory)/Sources/Devices"))
    .map { $0.sorted().map { "\($0)/CHECKLIST.md" } }?
    .filter { FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Sources/Devices/\($0)") } ?? []

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
/// SQLite's own functions, for the one that GRDB doesn't have (its progress handler).
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
/// RSA, that Crypto leaves out: what some authorisation servers still ask for.
let rsa: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTLS: Target.Dependency = .product(name: "HummingbirdTLS", package: "hummingbird")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")

/// libFuzzer brings its own `main`, so these two are built by `make fuzz` only; the targets they run are always built.
let fuzzers: [Target] =
    ProcessInfo.processInfo.environment["ESS_FUZZ"] == nil
    ? []
    : [
        .target(name: "CHeapMeter", path: "Tests/Fuzz/CHeapMeter"),
        .executableTarget(
            name: "ess-fuzz", dependencies: ["FuzzTargets", "CHeapMeter"], path: "Tests/Fuzz/Entry",
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]),
    ]

let package = Package(
    name: "ess-agent",
    platforms: [.macOS(.v26)],
    products: [
        .executable(name: "ess-agent", targets: ["ess-agent"]),
        .executable(name: "ess-server", targets: ["ess-server"]),
        .executable(name: "ess-sim", targets: ["ess-sim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    ],
    targets: [
        // C: headers and inline shims only, exactly one importer each.
        .systemLibrary(name: "CHost"),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLibUSB", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
        .systemLibrary(name: "CUDev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        // Floor: pure values, no I/O, no C, no clock, no logger.
        source("Wire"),
        source("Clinical"),
        // Files as bytes, FHIR as values.
        source("Formats", ["Wire", "Clinical"]),
        source("FHIR"),
        // One outside thing each.
        source("Devices", ["Wire", "Clinical", "Formats"], exclude: checklists),
        source("Ports", ["Wire", "CUDev", "CLibUSB"]),
        source("Store", ["Clinical", grdb, sqlite, crypto]),
        source("Uplink", ["Clinical", "FHIR", "CCurl"]),
        // People.
        source(
            "Agent",
            [
                "Wire", "Clinical", "Formats", "FHIR", "Devices", "Ports", "Store", "Uplink", "CHost", "CZstd",
                "CSystemd",
                "CPathwayFiles", crypto, rsa, x509, logging, lifecycle,
            ]),
        .target(name: "CPageFiles"),
        .target(name: "CPathwayFiles"),
        source("Web", ["Agent", "Clinical", "CPageFiles", hummingbird, logging], exclude: ["assets"]),
        program(
            "ess-agent",
            [
                "Agent", "Web", "Clinical", "Devices", "Formats", "Wire", "Ports", "Uplink", "Store", arguments,
                logging, lifecycle, signals,
            ]),
        // Beside.
        program(
            "ess-server", ["FHIR", grdb, crypto, rsa, x509, hummingbird, hummingbirdTLS, arguments, logging, lifecycle]),
        program("ess-sim", ["Devices", "Wire", "Clinical", "Formats", arguments]),
        // Tests.
        .target(
            name: "FuzzTargets", dependencies: ["Formats", "Devices", "Wire", "Clinical"], path: "Tests/Fuzz/Targets",
            swiftSettings: settings),
        .executableTarget(
            name: "ess-coder", dependencies: ["Formats", "Clinical"], path: "Tests/Bench/Coder", swiftSettings: settings
        ),
        tests("WireTests", ["Wire"]),
        tests("ClinicalTests", ["Clinical"]),
        tests("FormatsTests", ["Formats", "Clinical", "Wire", "FuzzTargets"]),
        tests("DevicesTests", ["Devices", "Wire", "Clinical", "Formats", "FuzzTargets"]),
        tests("PortsTests", ["Ports", "Wire"]),
        tests("StoreTests", ["Store", "Clinical", grdb]),
        tests("FHIRTests", ["FHIR"]),
        tests("UplinkTests", ["Uplink", "FHIR", "Clinical"]),
        tests("WebTests", ["Web", "Agent", "Clinical", "Formats", "Store"]),
        tests("AgentTests", ["Agent", "Store", "Devices", "Ports", "Wire", "Clinical", "Formats", "Uplink", logging]),
    ] + fuzzers
)
