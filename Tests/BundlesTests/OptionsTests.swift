import Bundles
import Testing

private enum Sampler: String, Codable, CaseIterable {
  case ddim, heun
  case fewStep = "few-step"
}
private enum Source: Codable, Equatable {
  case folder(path: String)
  case noise(seed: Int, width: Int)
}
private struct Optimiser: Codable, Equatable {
  var learningRate: Float = 1e-3
  var betas = [0.9, 0.99]
}
private struct Recipe: Codable, Equatable {
  var samplesSeen = 100
  var name = "x"
  var flips = true
  var sampler = Sampler.ddim
  var optimiser = Optimiser()
  var limit: Int?
  var seed: UInt8? = 7
  var weightsSHA256: String?
  var losses: [String: Double] = ["vLoss": 1]
  var source = Source.noise(seed: 1, width: 2)
  var sizes: [Size] = []
  struct Size: Codable, Equatable { var width: Int, note: String? }
}

@Suite("Options") struct OptionsTests {
  private func decode(_ text: String) throws -> Recipe {
    try Options.decode(Recipe.self, from: YAML.parse(text, source: "r.yaml"), defaults: Recipe(), source: "r.yaml")
  }

  @Test("a missing key keeps the default; given keys are kebab-case and merge")
  func merging() throws {
    #expect(try decode("{}") == Recipe())
    var expected = Recipe()
    expected.samplesSeen = 5
    expected.optimiser.learningRate = 0.5
    expected.sampler = .fewStep
    expected.limit = 3
    expected.seed = nil
    expected.weightsSHA256 = "ab"
    #expect(
      try decode(
        "samples-seen: 5\noptimiser: {learning-rate: 0.5}\nsampler: few-step\nlimit: 3\nseed: ~\nweights-sha256: ab")
        == expected)
  }

  @Test("arrays replace, dictionaries keep their keys, a section without keys is its default")
  func collections() throws {
    let recipe = try decode("optimiser: {betas: [0.5]}\nlosses: {perceptualLoss: 2, a-b: 1e-3}\nsizes: [{width: 4}]")
    #expect(recipe.optimiser == Optimiser(betas: [0.5]))
    #expect(recipe.losses == ["perceptualLoss": 2, "a-b": 1e-3])
    #expect(recipe.sizes == [.init(width: 4, note: nil)])
    #expect(try decode("optimiser:\nflips: false").optimiser == Optimiser())
  }

  @Test("an enum with values is replaced by another case and merges with its own")
  func payloads() throws {
    #expect(try decode("source: {folder: {path: p}}").source == .folder(path: "p"))
    #expect(try decode("source: {noise: {seed: 9}}").source == .noise(seed: 9, width: 2))
    expectError(.unknownKey, "r.yaml:1:23", "sed", "seed") { _ = try decode("source: {noise: {     sed: 9}}") }
  }

  @Test("an unknown key is refused with its line and the nearest known key")
  func unknownKeys() {
    expectError(.unknownKey, "r.yaml:2:1", "sampels-seen", "\"samples-seen\"") {
      _ = try decode("flips: true\nsampels-seen: 5")
    }
    expectError(.unknownKey, "r.yaml:3:3", "in \"optimiser\"", "learning-rate") {
      _ = try decode("flips: true\noptimiser:\n  learningRate: 5")
    }
    expectError(.unknownKey, "r.yaml:1:19", "in \"sizes[0]\"") { _ = try decode("sizes: [{width: 4,heigth: 4}]") }
    expectError(.unknownKey, "Known keys:", "flips") { _ = try decode("qqqqqqqqqqqqqqqq: 1") }
  }

  @Test(
    "a wrong type is reported where it stands",
    arguments: [
      ("samples-seen: many", "1:15", "an integer"), ("samples-seen: 1.5", "1:15", "an integer"),
      ("samples-seen: \"5\"", "1:15", "an integer"), ("flips: yes", "1:8", "true or false"),
      ("name: [a]", "1:7", "a text"), ("name:", "1:6", "a text"), ("seed: 256", "1:7", "from 0 to 255"),
      ("seed: -1", "1:7", "from 0 to 255"), ("optimiser: 3", "1:12", "a mapping"),
      ("optimiser:\n  betas: 3", "2:10", "a sequence"), ("optimiser:\n  betas: [1, x]", "2:14", "a number"),
      ("losses: {a: .nan}", "1:13", "a number"), ("losses: {a: 0x10}", "1:13", "a number"),
      ("samples-seen: 99999999999999999999", "1:15", "from"),
    ])
  func types(text: String, place: String, expected: String) {
    expectError(.invalidValue, "r.yaml:\(place):", expected) { _ = try decode(text) }
  }

  @Test("an unknown choice lists what is allowed")
  func choices() {
    expectError(.invalidValue, "r.yaml:1:10", "euler", "ddim, heun, few-step") { _ = try decode("sampler: euler") }
  }

  @Test("without defaults every key that is not optional must be there")
  func required() throws {
    let text = "{a: 1, size: {width: 2}}"
    struct Strict: Codable, Equatable { var a: Int, size: Recipe.Size, note: String? }
    let node = try YAML.parse(text, source: "s.yaml")
    #expect(
      try Options.decode(Strict.self, from: node, source: "s.yaml")
        == Strict(a: 1, size: .init(width: 2, note: nil), note: nil))
    expectError(.missingKey, "s.yaml:1:14", "\"width\"", "in \"size\"") {
      let node = try YAML.parse("{a: 1, size: {}}", source: "s.yaml")
      _ = try Options.decode(Strict.self, from: node, source: "s.yaml")
    }
  }

  @Test("what is encoded reads back to the same value, in the order of declaration")
  func encoding() throws {
    var recipe = Recipe()
    recipe.name = "null"
    recipe.losses = ["z": .infinity, "aB": 1e-20]
    recipe.optimiser.learningRate = 0.1
    recipe.sizes = [.init(width: 1, note: "a: b")]
    let node = try Options.encode(recipe)
    #expect(node.pairs?.prefix(3).map(\.key) == ["samples-seen", "name", "flips"])
    #expect(node["optimiser"]?["learning-rate"]?.text == "0.1")
    #expect(node["losses"]?.pairs?.map(\.key) == ["aB", "z"])
    let text = YAML.write(node)
    let parsed = try YAML.parse(text, source: "r.yaml")
    #expect(parsed == node)
    #expect(try Options.decode(Recipe.self, from: parsed, defaults: Recipe(), source: "r.yaml") == recipe)
    #expect(try Options.decode(Recipe.self, from: parsed, source: "r.yaml").losses == recipe.losses)
  }
}
