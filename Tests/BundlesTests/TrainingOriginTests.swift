import Bundles
import Foundation
import Testing

@Suite("Where a training started") struct TrainingOriginTests {
  private let line = "training: { method: codi, samples-seen: 1000, data: [ { name: Kodak, license: CC0-1.0 } ] }"

  private func text(_ from: String) -> String {
    Example.adapter.replacingOccurrences(of: line, with: line.replacing("data:", with: "from: { \(from) }, data:"))
  }

  @Test("a manifest counts the samples before this training; without them it counts its own")
  func counts() throws {
    let from = "name: codi/photo, version: 0.0.2, weights-sha256: \(Example.digest), samples-seen: 870"
    let manifest = try Example.manifest(text(from))
    #expect(manifest.training.samplesSeen == 1000 && manifest.training.samplesInAll == 1870)
    #expect(manifest.training.from.map { "\($0)" } == "codi/photo@0.0.2")
    #expect(try Example.manifest(try manifest.yaml()) == manifest)
    let file = try Example.manifest(text("weights-sha256: \(Example.digest), samples-seen: 0"))
    #expect(file.training.from.map { "\($0)" }?.contains(Example.digest) == true)
    let fresh = try Example.manifest(Example.adapter)
    #expect(fresh.training.from == nil && fresh.training.samplesInAll == 1000)
    #expect(try !fresh.yaml().contains("from"))
  }

  @Test(
    "what cannot be is refused at its line",
    arguments: [
      ("name: codi, version: 0.0.2, weights-sha256: DIGEST, samples-seen: 1", "publisher/name"),
      ("name: codi/photo, weights-sha256: DIGEST, samples-seen: 1", "name and a version"),
      ("version: 0.0.2, weights-sha256: DIGEST, samples-seen: 1", "name and a version"),
      ("weights-sha256: abc, samples-seen: 1", "64"), ("weights-sha256: DIGEST, samples-seen: -1", "negative"),
      ("weights-sha256: DIGEST, samples-seen: 9223372036854775807", "too large"),
    ])
  func refused(from: String, words: String) {
    expectError(.invalidValue, "manifest.yaml:15:", words) {
      _ = try Example.manifest(text(from.replacing("DIGEST", with: Example.digest)))
    }
  }
}
