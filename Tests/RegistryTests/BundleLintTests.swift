import Bundles
import Foundation
import Registry
import Testing

@Suite("Bundle lint") struct BundleLintTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let card = """
    # demo/toy

    A toy of one number that brightens nothing and harms nobody; it is here so that the rules have something to look at.

    ## Measured
    24 drawn pictures, no difference.

    """

  /// A sound adapter, with one thing changed.
  private func findings(
    card: String? = BundleLintTests.card, license: String? = "CC0\n", data: Bool = true, proof: Bool = true,
    metrics: Bool = false, flags: [String] = [], platform: String = InstalledBundle.platform
  ) throws -> [String: BundleLint.Finding.Outcome] {
    let core = try BundleReader(path: TestBundles.core(folder)).manifest
    let library = BundleEntry.library("Toy", platform: platform)
    let (source, built) = (folder.path + "/toy.c", folder.path + "/toy.so")
    try Data("int codi_plugin;\n".utf8).write(to: URL(filePath: source))
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments = ["-shared", "-fPIC", source, "-o", built] + flags
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    let metric = Manifest.Metric(suite: "drawn", steps: 4, name: "psnr", value: 30, n: 24)
    let manifest = Manifest(
      kind: .adapter, name: "demo/toy", version: SemanticVersion(1, 0, 0), task: "toy", summary: "A tiny adapter.",
      license: "CC0-1.0", requires: .init(codi: .any, core: core.name, coreDigest: core.coreDigest),
      condition: .init(inputs: [.init(name: "image", kind: .rgb)], channels: 3),
      geometry: .init(mode: .tile, scale: 1, halo: 4),
      sampling: .init(steps: [1, 4], defaultSteps: 4, predictor: "ddim", start: 1),
      weights: .init(sha256: "", parameters: 0),
      plugin: .init(abi: 1, toolchain: "cc", libraries: [platform: library]),
      training: .init(
        method: "codi", samplesSeen: 1, data: data ? [.init(name: "drawn", license: "CC0-1.0")] : []),
      metrics: metrics ? [metric] : [])
    let weights = folder.path + "/weights"
    try SafetensorsWriter.write([("w", .f32, [1], Data(count: 4))], to: weights)
    var files: [(name: String, source: ZipWriter.Source)] = [
      (BundleEntry.weights, .file(path: weights)), (library, .file(path: built)),
    ]
    if let card { files.append((BundleEntry.card, .data(Data(card.utf8)))) }
    if let license { files.append((BundleEntry.license, .data(Data(license.utf8)))) }
    if proof { files.append((BundleEntry.proof, .file(path: weights))) }
    let path = folder.path + "/toy-\(UInt32.random(in: 0 ... .max)).codi"
    try BundleWriter.pack(manifest, files: files, to: path)
    return Dictionary(uniqueKeysWithValues: try BundleLint.run(path).map { ($0.id, $0.outcome) })
  }

  private func broken(_ findings: [String: BundleLint.Finding.Outcome]) -> [String] {
    findings.filter { $0.value == .failed }.keys.sorted()
  }

  @Test("a bundle that brings everything keeps every rule")
  func sound() throws {
    let findings = try findings()
    #expect(findings.keys.sorted() == BundleLint.list.map(\.id))
    #expect(findings.values.allSatisfy { $0 == .passed }, "\(findings)")
  }

  @Test("every rule has a mistake that breaks it, and no other")
  func mistakes() throws {
    let unmeasured = Self.card.replacing("## Measured", with: "## Untold")
    #expect(try broken(findings(card: nil, metrics: true)) == ["B002"])
    #expect(try broken(findings(card: "# demo/toy\n\nShort.\n", metrics: true)) == ["B002"])
    #expect(try broken(findings(card: Self.card + "TODO: its limits.\n")) == ["B002"])
    #expect(try broken(findings(license: nil)) == ["B003"])
    #expect(try broken(findings(license: " \n")) == ["B003"])
    #expect(try broken(findings(data: false)) == ["B004"])
    #expect(try broken(findings(card: unmeasured)) == ["B005"])
    #expect(try broken(findings(card: unmeasured, metrics: true)).isEmpty)
    #expect(try broken(findings(card: unmeasured + "## Measured\n\n## Limits\nNone.\n")) == ["B005"])
    #expect(try broken(findings(proof: false)) == ["B006"])
    #expect(try broken(findings(flags: ["-Wl,--no-as-needed", "-lsodium"])) == ["B007"])
    #expect(try broken(findings(flags: ["-Wl,-rpath,/opt/lib"])) == ["B007"])
    let other = InstalledBundle.platform == "linux-x86_64" ? "linux-aarch64" : "linux-x86_64"
    #expect(try broken(findings(platform: other)) == ["B007"])
  }

  @Test("a bundle that cannot be opened breaks the first rule; a file that is not there is an error")
  func unreadable() throws {
    let path = folder.path + "/broken.codi"
    var data = try Data(contentsOf: URL(filePath: TestBundles.core(folder)))
    data[data.count / 2] ^= 1
    try data.write(to: URL(filePath: path))
    let findings = try BundleLint.run(path)
    #expect(findings.first?.outcome == .failed && findings.dropFirst().allSatisfy { $0.outcome == .skipped })
    #expect(throws: (any Error).self) { try BundleLint.run(folder.path + "/none.codi") }
  }
}
