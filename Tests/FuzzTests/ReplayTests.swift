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

  @Test("read the sound inputs and refuse them with a byte more, less, or changed", arguments: FuzzTarget.allCases)
  func seeds(_ target: FuzzTarget) throws {
    for (name, data) in try Seeds.all(of: target) {
      #expect(throws: Never.self, "\(name)") { try target.run(data) }
      for place in stride(from: 0, to: data.count, by: max(1, data.count / 100)) {
        var changed = data
        changed[place] ^= 0x20
        #expect(throws: Never.self, "\(name), byte \(place)") { try target.run(changed) }
        #expect(throws: Never.self, "\(name), \(place) bytes") { try target.run(data.prefix(place)) }
      }
    }
  }
}
