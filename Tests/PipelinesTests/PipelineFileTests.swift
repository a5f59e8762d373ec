import Adapters
import Bundles
import Foundation
import Pipelines
import TestSupport
import Testing

@Suite("Chains in a file") struct PipelineFileTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func read(_ text: String) throws -> PipelineFile {
    try text.write(toFile: folder("p.yaml"), atomically: true, encoding: .utf8)
    return try PipelineFile(path: folder("p.yaml"))
  }

  private func manifest() throws -> Manifest { try Toy.adapter().manifest }

  @Test("a file says adapters, steps, parameters, seed and precision")
  func whole() throws {
    let file = try read(
      """
      format: 1
      seed: 18446744073709551615
      precision: f32
      stages:
        - adapter: demo/restore@^1.0
          steps: 2
          parameters: { strength: 0.5 }
        - adapter: enlarge
      """)
    #expect(file.seed == .max && file.precision == "f32")
    #expect(file.stages.map(\.adapter) == ["demo/restore@^1.0", "enlarge"] && file.stages.map(\.steps) == [2, nil])
    let manifest = try manifest()
    #expect(try file.values(for: [manifest, manifest]) == [["strength": .number(0.5)], [:]])
  }

  @Test(
    "a mistake is refused with its line",
    arguments: [
      ("format: 1\nstages:\n  - adapter: a\n    step: 2\n", 4, "step"),
      ("format: 1\ncolour: red\nstages:\n  - adapter: a\n", 2, "colour"),
      ("format: 1\nstages:\n  - steps: 2\n", 3, "adapter"),
      ("format: 1\nstages:\n  - adapter: a\n    steps: 0\n", 4, "1 to 1000"),
      ("format: 1\nstages:\n  - adapter: a\n    steps: \"2\"\n", 4, "1 to 1000"),
      ("format: 1\nstages:\n  - adapter: a\n    parameters: 2\n", 4, "mapping"),
      ("format: 1\nstages: []\n", 2, "no stage"),
      ("format: 1\nprecision: f16\nstages:\n  - adapter: a\n", 2, "f16"),
      ("format: 1\nseed: -1\nstages:\n  - adapter: a\n", 2, "seed"),
    ])
  func mistakes(text: String, line: Int, word: String) throws {
    let error = #expect(throws: BundleError.self) { try read(text) }
    #expect(error?.location.hasPrefix("\(folder("p.yaml")):\(line):") == true, "\(error?.description ?? "")")
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }

  @Test(
    "a parameter that the adapter has not, of a wrong type or out of range, is refused with its line",
    arguments: ["colour: red", "strength: 2", "strength: \"0.5\"", "strength: high", "strength: [1]"])
  func parameters(_ parameter: String) throws {
    let file = try read("format: 1\nstages:\n  - adapter: a\n    parameters:\n      \(parameter)\n")
    let error = #expect(throws: BundleError.self) { try file.values(for: [try manifest()]) }
    #expect(error?.location.hasPrefix("\(folder("p.yaml")):5:") == true, "\(error?.description ?? "")")
  }

  @Test("a later format is refused, and a file that is not there is named")
  func foreign() throws {
    #expect(throws: BundleError.self) { try read("format: 2\nstages:\n  - adapter: a\n") }
    let error = #expect(throws: BundleError.self) { try PipelineFile(path: folder("none.yaml")) }
    #expect(error?.location == folder("none.yaml"))
  }
}
