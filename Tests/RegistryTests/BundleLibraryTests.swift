import Bundles
import Foundation
import Registry
import Testing

@Suite("The library that goes into a bundle") struct BundleLibraryTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Runs a program and returns what it prints.
  @discardableResult
  static func run(_ program: String, _ arguments: [String]) throws -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(program) \(arguments.joined(separator: " "))")
    return String(decoding: output, as: UTF8.self)
  }

  @Test("needs only libc and libm, exports only codi_plugin, and computes what the ordinary product computes")
  func selfContained() throws {
    let folder = try TemporaryFolder()
    try Self.run(Self.root.appending(path: ".ci/build-plugin").path, ["SuperResolution", folder.path])
    let path = folder.path + "/libSuperResolution.so"
    let needed = try Self.run("/usr/bin/readelf", ["-d", path]).split(separator: "\n").filter {
      $0.contains("(NEEDED)")
    }
    #expect(needed.allSatisfy { $0.contains("[libc.so.6]") || $0.contains("[libm.so.6]") }, "\(needed)")
    let symbols = try Self.run("/usr/bin/nm", ["-D", "--defined-only", path])
    #expect(symbols.split(separator: "\n").map { $0.split(separator: " ").last } == ["codi_plugin"])
    #expect(try Data(contentsOf: URL(filePath: path)).count < 1 << 20)

    let library = try PluginLibrary(path: path, abi: 1, task: "super-resolution", halo: 40)
    let built = try TaskPlugin(library, parameters: ["bicubic-share": .number(0)])
    let product = try SuperResolutionTests.plugin(["bicubic-share": .number(0)])
    let clean = try SuperResolutionTests.picture(64, 64)
    let keys = (0..<8).map { SampleKey(low: 2, high: $0) }
    let batch = keys.flatMap { _ in clean.values }
    let inputs = try built.degrade(batch, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])
    #expect(try inputs == product.degrade(batch, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)]))
    let image = try PictureRegion(Array(inputs[0][..<768]), width: 16, height: 16)
    let finished = try built.finish([image], result: clean, region: clean.region)
    #expect(try finished == product.finish([image], result: clean, region: clean.region))
  }
}
