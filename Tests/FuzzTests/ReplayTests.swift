import Foundation
import FuzzTargets
import Testing

@Suite("Readers of bytes from strangers")
struct ReplayTests {
  /// Corpora, findings and how to make more: Tests/Fuzz.
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fuzz")

  @Test("keep every promise for what the fuzzer kept and what it once found", arguments: FuzzTarget.allCases)
  func replay(_ target: FuzzTarget) throws {
    var inputs = 0
    for kind in ["Corpora", "Findings"] {
      let place = ReplayTests.folder.appending(path: "\(kind)/\(target.rawValue)")
      let files = (try? FileManager.default.contentsOfDirectory(at: place, includingPropertiesForKeys: nil)) ?? []
      for file in files {
        let input = try Data(contentsOf: file)
        #expect(throws: Never.self, "\(file.path)") { try target.run(input) }
        inputs += 1
      }
    }
    #expect(inputs > 0, "there is nothing to replay")
  }

  @Test("let a sound, signed bundle through, and a registry's every answer")
  func sound() throws {
    let bundle = try #require(Seeds.all(of: .zip).first { $0.name == "adapter-stored" })
    #expect(try FuzzTarget.zip.run(bundle.data) == 2)
    // Listed, its manifest read and its zip fetched, found, resolved, no statements, checked.
    let registry = try #require(Seeds.all(of: .oci).first { $0.name == "bundle" })
    #expect(try FuzzTarget.oci.run(registry.data) == 6)
  }

  @Test(
    "read the sound inputs, and keep their promises when a byte is changed or the rest is missing",
    arguments: FuzzTarget.allCases)
  func seeds(_ target: FuzzTarget) throws {
    for (name, data) in try Seeds.all(of: target) {
      let read = try target.run(data)
      #expect((read > 0) == (name != "forbidden"), "\(name)")
      for place in stride(from: 0, to: data.count, by: max(1, data.count / 100)) {
        var changed = data
        changed[place] ^= 0x20
        #expect(throws: Never.self, "\(name), byte \(place)") { try target.run(changed) }
        #expect(throws: Never.self, "\(name), \(place) bytes") { try target.run(data.prefix(place)) }
      }
    }
  }
}
