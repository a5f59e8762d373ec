// swift-tools-version: 6.1
import PackageDescription

/// Task plugins, one folder each below `Plugins/`. Listed by name: SwiftPM caches a manifest that scans folders.
let tasks = ["SuperResolution", "Inpainting", "DepthToImage", "SketchToImage"]

let swift: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]
let c: [CSetting] = [.define("NDEBUG", .when(configuration: .release))]

/// One room of the house (Documentation/Architecture.md): a Swift module and the rooms above it that it may import.
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swift)
}

/// `files` beside the tests that are no sources: tests find them by their own path.
func tests(of name: String, _ dependencies: [Target.Dependency], files: [String] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.init(stringLiteral: name)] + dependencies,
    exclude: files, resources: [], swiftSettings: swift)
}

let sqlite = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let systemLibraries: [Target] = [
  .systemLibrary(name: "Copenblas", pkgConfig: "openblas", providers: [.apt(["libopenblas-openmp-dev"])]),
  .systemLibrary(name: "Clibzip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),
  .systemLibrary(name: "Clibyaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
  .systemLibrary(name: "Clibsodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
  .systemLibrary(name: "Clibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
  .systemLibrary(name: "Clibcurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
  .systemLibrary(name: "Clibvips", pkgConfig: "vips", providers: [.apt(["libvips-dev"])]),
]

let cTargets: [Target] = [
  .target(name: "CPluginABI", cSettings: c),
  .target(name: "CSandbox", dependencies: ["CPluginABI"], cSettings: c),
  .target(name: "CKernels", cSettings: c, linkerSettings: [.linkedLibrary("gomp"), .linkedLibrary("m")]),
  .target(name: "CDnnl", cSettings: c, linkerSettings: [.linkedLibrary("dnnl")]),
  // Loads libmpi when it is asked for.
  .target(name: "CMPI", cSettings: c),
  .target(name: "CCurl", dependencies: ["Clibcurl"], cSettings: c),
  .target(name: "CVips", dependencies: ["Clibvips"], cSettings: c, linkerSettings: [.linkedLibrary("lcms2")]),
]

let rooms: [Target] = [
  room("Tensor", ["CKernels", "CDnnl", "Copenblas"]),
  room("Diffusion", ["Tensor"]),
  room("Networks", ["Tensor", "Diffusion"]),
  room("Bundles", ["Clibzip", "Clibyaml", "Clibsodium", "Clibcrypto"]),
  room("Adapters", ["Tensor", "Diffusion", "Networks", "Bundles"]),
  room("Imaging", ["CVips"]),
  room("Registry", ["CPluginABI", "CSandbox", "CCurl", "Tensor", "Bundles", "Adapters", "Imaging", log]),
  room("Metrics", ["Tensor", "Imaging", "Bundles"]),
  room(
    "Distillation",
    ["CMPI", "Tensor", "Diffusion", "Networks", "Bundles", "Adapters", "Imaging", "Registry", "Metrics", log]),
  room(
    "Pipelines",
    ["Tensor", "Diffusion", "Networks", "Bundles", "Adapters", "Imaging", "Registry", "Metrics", sqlite, log]),
  room("PluginKit", ["CPluginABI"]),
  // All of libm comes with it: a plugin needs no library that is not there already.
  .executableTarget(
    name: "codi-plugin-host", dependencies: ["CPluginABI", "CSandbox"], cSettings: c,
    linkerSettings: [.linkedLibrary("m"), .unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib/codi"])]),
  .executableTarget(
    name: "codi",
    dependencies: [
      "Tensor", "Diffusion", "Networks", "Bundles", "Adapters", "Imaging", "Registry", "Metrics", "Distillation",
      "Pipelines", arguments, log,
    ], swiftSettings: swift,
    // Where `make install` puts the Swift runtime, seen from `PREFIX/bin`.
    linkerSettings: [.unsafeFlags(["-Xlinker", "-rpath=$ORIGIN/../lib/codi"])]),
]

let taskTargets: [Target] = tasks.flatMap { task -> [Target] in
  [
    .target(
      name: task, dependencies: ["CPluginABI", "PluginKit"], path: "Plugins/\(task)/Swift", swiftSettings: swift),
    .target(name: "\(task)Entry", dependencies: ["CPluginABI"], path: "Plugins/\(task)/C", cSettings: c),
  ]
}

let testTargets: [Target] = [
  tests(of: "Tensor", ["CKernels"]),
  tests(of: "Diffusion", ["Tensor"]),
  tests(of: "Networks", ["Tensor", "Diffusion", "Bundles"], files: ["Fixtures"]),
  tests(of: "Bundles", ["Clibzip", "AttackReport"]),
  tests(of: "Imaging", ["TestSupport"]),
  tests(of: "Metrics", ["Tensor", "Imaging", "Bundles"], files: ["Fixtures"]),
  tests(of: "Adapters", ["Tensor", "Diffusion", "Networks", "Bundles"], files: ["Fixtures"]),
  tests(
    of: "Distillation",
    ["Tensor", "Diffusion", "Networks", "Bundles", "Adapters", "Imaging", "Registry", .target(name: "SuperResolution")]),
  .target(name: "AttackReport", path: "Tests/AttackReport", swiftSettings: swift),
  .target(
    name: "TestSupport", dependencies: ["Tensor", "Networks", "Bundles", "Adapters", "Imaging", "Registry"],
    path: "Tests/TestSupport", swiftSettings: swift),
  tests(
    of: "Pipelines",
    ["Tensor", "Networks", "Bundles", "Adapters", "Imaging", "Registry", "Metrics", "TestSupport"]),
  .testTarget(
    name: "CommandTests",
    dependencies: ["codi", "codi-plugin-host", "Bundles", "Imaging", "Registry", "TestSupport", "AttackReport"],
    exclude: ["Scripts"], swiftSettings: swift),
  tests(
    of: "Registry", ["CPluginABI", "CSandbox", "codi-plugin-host", "Bundles", "Imaging", "Tensor", "AttackReport", log]),
]

/// What strangers' bytes go through: for the fuzzer, and for the tests that replay what it kept.
let fuzzTargets: [Target] =
  [
    .target(
      name: "FuzzTargets", dependencies: ["Bundles", "Registry"], path: "Tests/Fuzz/Targets", swiftSettings: swift),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: swift),
  ]
  + (Context.environment["CODI_FUZZ"] == nil
    ? []
    : [
      // `main` is libFuzzer's: only `make fuzz` links it.
      .systemLibrary(name: "Clibfuzzer", path: "Tests/Fuzz/Clibfuzzer"),
      .executableTarget(
        name: "codi-fuzz", dependencies: ["FuzzTargets", "Clibfuzzer"], path: "Tests/Fuzz/Driver",
        swiftSettings: swift + [.unsafeFlags(["-parse-as-library"])]),
    ])

let package = Package(
  name: "codi",
  products: [
    .executable(name: "codi", targets: ["codi"]),
    .executable(name: "codi-plugin-host", targets: ["codi-plugin-host"]),
  ]
    + tasks.map { .library(name: $0, type: .dynamic, targets: [$0, "\($0)Entry"]) },
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: systemLibraries + cTargets + rooms + taskTargets + testTargets + fuzzTargets
)
