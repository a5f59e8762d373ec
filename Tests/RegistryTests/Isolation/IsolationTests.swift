import Bundles
import Foundation
import Registry
import Synchronization
import Testing

@Suite("An isolated plugin") struct IsolationTests {
  static func superResolution(
    _ parameters: [String: ParameterValue] = [:], isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> TaskPlugin {
    try TaskPlugin(
      isolated: try PluginFile(path: SuperResolutionTests.library),
      wanted: PluginDescriptor.Wanted(abi: 1, task: "super-resolution", halo: 40), scale: 4, parameters: parameters,
      isCancelled: isCancelled)
  }

  @Test("gives the same bits as one in the program's own process: sizes, condition, result, training inputs")
  func sameBits() throws {
    let values: [String: ParameterValue] = ["strength": .number(0.7), "bicubic-share": .number(0.3)]
    let isolated = try Self.superResolution(values)
    let direct = try SuperResolutionTests.plugin(values)
    #expect(isolated.descriptor == direct.descriptor)
    #expect(isolated.isolation?.seccomp == true)
    let picture = try SuperResolutionTests.picture(61, 47)
    #expect(try isolated.outputSize(width: 61, height: 47) == (244, 188))
    let result = try SuperResolutionTests.picture(244, 188, seed: 5)
    for region in [
      Region(x: 0, y: 0, width: 244, height: 188), Region(x: 0, y: 64, width: 244, height: 64),
      Region(x: 17, y: 90, width: 100, height: 98), Region(x: 243, y: 187, width: 1, height: 1),
    ] {
      let condition = try isolated.prepare([picture], region: region, channels: 3)
      #expect(condition == (try direct.prepare([picture], region: region, channels: 3)))
      let finished = try isolated.finish([picture], result: result, region: region)
      #expect(finished == (try direct.finish([picture], result: result, region: region)))
    }
    let clean = try (1...6).flatMap { try SuperResolutionTests.picture(64, 64, seed: $0).values }
    let keys = (1...6).map { SampleKey(low: $0, high: 9) }
    let made = try isolated.degrade(clean, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])
    #expect(made == (try direct.degrade(clean, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])))
  }

  @Test("reports the plugin's own refusals and goes on in the same process")
  func refusals() throws {
    let error = #expect(throws: PluginError.self) { try Self.superResolution(["strength": .number(2)]) }
    #expect(error?.code == .parameter)
    let plugin = try Self.superResolution()
    let grey = try PictureRegion([Float](repeating: 0, count: 16), width: 4, height: 4, channels: 1)
    let refused = #expect(throws: PluginError.self) {
      try plugin.prepare([grey], region: Region(x: 0, y: 0, width: 16, height: 16), channels: 3)
    }
    #expect(refused?.code == .region)
    #expect(try plugin.outputSize(width: 2, height: 3) == (8, 12))
  }

  @Test("is cancelled from outside in the middle of a call")
  func cancelled() throws {
    let plugin = try Self.superResolution(isCancelled: { true })
    let count = 64
    let clean = [Float](repeating: 0.5, count: count * 128 * 128 * 3)
    let error = #expect(throws: PluginError.self) {
      try plugin.degrade(
        clean, width: 128, height: 128, keys: (0..<count).map { SampleKey(low: UInt64($0), high: 1) },
        inputs: [(32, 32, 3)])
    }
    #expect(error?.code == .cancelled)
  }

  @Test("is loaded from the bytes that were verified, whatever happens to the file afterwards")
  func verifiedBytes() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/lib.so"
    try FileManager.default.copyItem(atPath: SuperResolutionTests.library, toPath: path)
    let file = try PluginFile(path: path)
    try Data("not a library any more".utf8).write(to: URL(filePath: path))
    let plugin = try TaskPlugin(
      isolated: file, wanted: PluginDescriptor.Wanted(abi: 1, task: "super-resolution", halo: 40))
    #expect(try plugin.outputSize(width: 1, height: 1) == (4, 4))
    let link = folder.path + "/link.so"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: SuperResolutionTests.library)
    #expect(throws: PluginError.self) { try PluginFile(path: link) }
  }

  @Test("that is no library, lacks the symbol, or has a wrong descriptor is refused as in the program's own process")
  func refusedLibraries() throws {
    let folder = try TemporaryFolder()
    let text = folder.path + "/text.so"
    try "not a library".write(toFile: text, atomically: true, encoding: .utf8)
    for (path, code) in [
      (text, PluginError.Code.library), (try PluginLibraryTests.compile("", in: folder), .library),
      (try PluginLibraryTests.compile(PluginLibraryTests.descriptor(name: "\"other\""), in: folder), .descriptor),
      (try PluginLibraryTests.compile(PluginLibraryTests.descriptor(degrade: "0"), in: folder), .descriptor),
    ] {
      let error = #expect(throws: PluginError.self) { try Hostile.open(path) }
      #expect(error?.code == code, "\(String(describing: error))")
    }
    let wrong = #expect(throws: PluginError.self) {
      try TaskPlugin(
        isolated: try PluginFile(path: text), wanted: PluginDescriptor.Wanted(abi: 2, task: "toy", halo: 0))
    }
    #expect(wrong?.code == .abi)
  }

  @Test("leaves no process behind")
  func noProcessLeft() throws {
    let before = try Self.children()
    for _ in 0..<5 { _ = try Self.superResolution() }
    #expect(try Self.children().subtracting(before).isEmpty)
  }

  /// Processes of the plugin host that this one started and did not reap.
  private static func children() throws -> Set<String> {
    let all = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
    return Set(
      all.filter {
        let status = (try? String(contentsOfFile: "/proc/\($0)/status", encoding: .utf8)) ?? ""
        return status.contains("PPid:\t\(getpid())\n") && status.contains("State:\tZ")
      })
  }
}
