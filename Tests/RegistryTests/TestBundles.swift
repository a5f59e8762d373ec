import Bundles
import Foundation
import Registry

/// Packs tiny bundles: a core, and adapters for it.
enum TestBundles {
  static func core(
    _ folder: TemporaryFolder, name: String = "codi/photo", version: SemanticVersion = SemanticVersion(1, 0, 0),
    weight: Float = 0.5, key: SecretKey? = TestKeys.codi
  ) throws -> String {
    let manifest = Manifest(
      kind: .core, name: name, version: version, task: "generation", summary: "A tiny core.", license: "Apache-2.0",
      requires: .init(codi: .any), network: .mapping([("channels", .integer(4))]),
      weights: .init(sha256: "", parameters: 0), training: .init(method: "diffusion", samplesSeen: 1, data: []))
    return try pack(manifest, folder, weight: weight, key)
  }

  static func adapter(
    _ folder: TemporaryFolder, for core: String, name: String = "codi/toy",
    version: SemanticVersion = SemanticVersion(1, 0, 0), codi: VersionRequirement = .any, abi: Int = 1,
    platform: String = InstalledBundle.platform, coreDigest: String? = nil, weight: Float = 0.25,
    key: SecretKey? = TestKeys.codi
  ) throws -> String {
    let made = try BundleReader(path: core).manifest
    let library = BundleEntry.library("Toy", platform: platform)
    let manifest = Manifest(
      kind: .adapter, name: name, version: version, task: "toy", summary: "A tiny adapter.", license: "CC0-1.0",
      requires: .init(codi: codi, core: made.name, coreDigest: coreDigest ?? made.coreDigest),
      condition: .init(inputs: [.init(name: "image", kind: .rgb)], channels: 3),
      geometry: .init(mode: .tile, scale: 1, halo: 4),
      sampling: .init(steps: [1, 4], defaultSteps: 4, predictor: "ddim", start: 1),
      weights: .init(sha256: "", parameters: 0),
      plugin: .init(abi: abi, toolchain: "cc", libraries: [platform: library]),
      training: .init(method: "codi", samplesSeen: 1, data: []))
    let built = try PluginLibraryTests.compile("CODI_PLUGIN(\"toy\", \"1.0.0\", 3)", in: folder)
    return try pack(manifest, folder, weight: weight, key, more: [(library, .file(path: built))])
  }

  private static func pack(
    _ manifest: Manifest, _ folder: TemporaryFolder, weight: Float, _ key: SecretKey?,
    more: [(name: String, source: ZipWriter.Source)] = []
  ) throws -> String {
    let file = manifest.name.replacingOccurrences(of: "/", with: "-")
    let path = "\(folder.path)/\(file)-\(manifest.version)-\(weight)-\(UInt32.random(in: 0 ... .max)).codi"
    let weights: [(name: String, source: ZipWriter.Source)] = [(BundleEntry.weights, .data(safetensors(weight)))]
    try BundleWriter.pack(manifest, files: weights + more, to: path, key: key)
    return path
  }

  /// A safetensors file with one number, called `w`.
  private static func safetensors(_ value: Float) -> Data {
    let header = Data(#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.utf8)
    let padding = Data(repeating: 0x20, count: (64 - (8 + header.count) % 64) % 64)
    var data = withUnsafeBytes(of: UInt64(header.count + padding.count).littleEndian) { Data($0) }
    data += header + padding
    data += withUnsafeBytes(of: value.bitPattern.littleEndian) { Data($0) }
    return data
  }
}

/// Keys made anew in every run of the tests.
enum TestKeys {
  /// Stands in for the project's key in stores made by `Store.testing`.
  static let codi = try? SecretKey.generate()
  static let acme = try? SecretKey.generate()
  static let other = try? SecretKey.generate()
}

extension Store {
  /// A store whose user trusts the key that the test bundles are signed with.
  static func testing(_ home: String) throws -> Store {
    let store = Store(home: home, program: SemanticVersion(0, 1, 0))
    if let key = TestKeys.codi { try store.changeTrust { try $0.add(key.publicKey, to: "codi") } }
    return store
  }
}

extension TemporaryFolder {
  /// All files below, by relative path.
  func files(_ sub: String = "") -> [String] {
    let root = sub.isEmpty ? path : "\(path)/\(sub)"
    let names = (try? FileManager.default.subpathsOfDirectory(atPath: root)) ?? []
    return names.sorted()
  }
}
