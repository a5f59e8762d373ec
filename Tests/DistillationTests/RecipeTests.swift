import Bundles
import Distillation
import Foundation
import Networks
import Testing

@Suite("Recipes") struct RecipeTests {
  /// Every YAML below Plugins/ that says its kind.
  static let files: [String] = {
    let root = Toy.repository.appending(path: "Plugins")
    let names = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
    // Templates have gaps that codi plugin new fills.
    return names.filter {
      $0.hasSuffix(".yaml") && !$0.hasSuffix("/manifest.yaml") && !$0.hasPrefix("Template/")
    }.sorted()
  }()

  func text(_ name: String) throws -> String {
    try String(contentsOf: Toy.repository.appending(path: "Plugins").appending(path: name), encoding: .utf8)
  }

  @Test("every recipe that is shipped is read, and comes back whole when written out", arguments: files)
  func reading(name: String) throws {
    let text = try text(name)
    if text.contains("kind: adapter") {
      let recipe = try AdapterRecipe(parsing: text, source: name)
      #expect(try AdapterRecipe(parsing: recipe.yaml(), source: name) == recipe)
    } else {
      let recipe = try CoreRecipe(parsing: text, source: name)
      #expect(try CoreRecipe(parsing: recipe.yaml(), source: name) == recipe)
    }
  }

  @Test("recipes for cores and for the task are among them")
  func found() {
    for name in [
      "Cores/photo/recipe.yaml", "Cores/tiny/recipe.yaml", "SuperResolution/recipe.yaml", "SuperResolution/tiny.yaml",
    ] {
      #expect(Self.files.contains(name))
    }
  }

  @Test("a recipe without a distillation section means the paper's settings")
  func paperMode() throws {
    let recipe = try AdapterRecipe(parsing: Self.adapter, source: "recipe.yaml")
    #expect(recipe.distillation == DistillationOptions())
    #expect(recipe.encoder.sees == .condition && recipe.encoder.blend == .scalar && recipe.muRate == 1)
  }

  static let adapter = "kind: adapter\nname: demo/toy\ncore: codi/photo@0.1.0\ntask: { plugin: SuperResolution }\n"
  static let core = "kind: core\nname: demo/core\nsummary: A core.\n"

  @Test(
    "what cannot work is refused when the recipe is read, with the reason",
    arguments: [
      ("trainig: { samples: 5 }", "training"), ("distillation: { gaps: 0.1 }", "fixed, curriculum"),
      ("distillation: { predictor: euler }", "ddim"), ("distillation: { gap: 0 }", "gap must be between 0 and 1"),
      ("distillation: { gap: 1.5 }", "found 1.5"), ("distillation: { gap: .nan }", "gap"),
      ("distillation: { gap: 0.2, latest: 0.2 }", "latest must be above 0.2"),
      ("distillation: { latest: 1.1 }", "at most 1"),
      ("distillation: { gap: 0.1, earliest: 0.2 }", "earliest must be from 0 to 0.1"),
      ("distillation: { gap: 0.1, first: 0.02, earliest: 0.05 }", "earliest must be from 0 to 0.02"),
      ("distillation: { first: 0 }", "first must be above 0"),
      ("distillation: { first: 0.7, latest: 0.6 }", "above 0.7"),
      ("distillation: { earliest: -0.1 }", "earliest"), ("distillation: { consistency: -1 }", "must not be negative"),
      ("distillation: { guidance: .inf }", "guidance"), ("distillation: { velocity: -0.5 }", "velocity"),
      ("distillation: { consistency: 0, guidance: 0 }", "nor all zero"),
      ("distillation: { target-decay: 1.5 }", "target-decay must be from 0 to 1"),
      ("distillation: { warm-up-samples: -1 }", "warm-up-samples"),
      ("distillation: { guidance: 0, warm-up-samples: 100 }", "nothing to learn at first"),
      ("distillation: { predictor: dpm-solver++ }", "looks back"),
      ("distillation: { ode: data, predictor: ddim }", "nothing to predict"),
      ("distillation: { gamma: 2 }", "gamma must be"), ("distillation: { metric-width: 0 }", "metric-width"),
      ("distillation: { snr-limit: -1 }", "snr-limit"), ("distillation: { cycle: -1 }", "cycle"),
      ("distillation: { guidance: 0, guidance-schedule: fading }", "nothing to fade"),
      ("distillation: { gaps: curriculum }", "stage-samples must say"),
      ("distillation: { stage-samples: 9 }", "stage-samples is for"),
      ("distillation: { form: continuous }", "choose predictor ddim, or ode data"),
      ("distillation: { form: continuous, ode: data }", "choose space velocity"),
      ("distillation: { form: continuous, ode: data, space: velocity }", "choose target stop-gradient"),
      (
        "distillation: { form: continuous, ode: data, space: velocity, target: stop-gradient, metric: cauchy }",
        "choose metric l2"
      ),
      (
        "distillation: { form: continuous, ode: data, space: velocity, target: stop-gradient, weighting: inverse-gap }",
        "no gap"
      ),
      (
        "distillation: { form: continuous, ode: data, space: velocity, target: stop-gradient }",
        "training.precision must be f32"
      ),
      ("distillation: { form: progressive, stage-samples: 9 }", "choose ode frozen"),
      (
        "distillation: { form: progressive, stage-samples: 9, ode: frozen, predictor: ddim }", "choose space velocity"
      ),
      (
        "distillation: { form: progressive, stage-samples: 9, ode: frozen, predictor: ddim, space: velocity, progressive-steps: 3 }",
        "power of two"
      ),
      ("distillation: { form: progressive, stage-samples: 9, gaps: curriculum }", "is for form: discrete"),
      ("method: distil", "fine-tune"), ("stage-share: 1", "stage-share must be"),
      ("method: lcm\ndistillation: { guidance: 2 }", "brings its own losses"),
      ("method: regression\nsampling: { start: 0.5 }\ndistillation: { latest: 0.5 }", "sees no noise"),
      ("sampling: { steps: [4, 2] }", "rising"), ("sampling: { steps: [] }", "rising"),
      ("sampling: { default-steps: 9 }", "among the steps"), ("sampling: { start: 0 }", "start must be above 0"),
      ("distillation: { latest: 0.5 }", "noisier times are never trained"),
      ("sampling: { start: 0.5 }\nencoder: { condition-channels: 1 }", "first three channels"),
      ("encoder: { condition-channels: 0 }", "condition-channels"), ("mu-rate: 0", "mu-rate must be"),
      ("version: one", "version"), ("version: 1", "version"),
    ])
  func refusedAdapter(text: String, reason: String) {
    let error = #expect(throws: BundleError.self) {
      try AdapterRecipe(parsing: Self.adapter + text, source: "recipe.yaml")
    }
    #expect(error?.location.hasPrefix("recipe.yaml") == true)
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(
    "training settings that cannot work are refused",
    arguments: [
      ("samples: 0", "samples"), ("rate: 0", "rate"), ("rate: -0.1", "rate"), ("rate: .nan", "rate"),
      ("warm-up: -1", "warm-up"), ("decay-share: 2", "decay-share"), ("average-decay: 1", "average-decay"),
      ("log-every: 0", "log-every"), ("sheet-every: -1", "sheet-every"),
      ("checkpoint-minutes: -1", "checkpoint-minutes"),
      ("precision: f16", "bf16"), ("optimiser: { beta1: 1 }", "beta1"), ("optimiser: { epsilon: 0 }", "epsilon"),
      ("optimiser: { weight-decay: -1 }", "weight-decay"), ("optimiser: { clip: -1 }", "clip"),
    ])
  func refusedTraining(text: String, reason: String) {
    for recipe in [Self.core, Self.adapter] {
      let error = #expect(throws: BundleError.self, "\(text)") {
        let text = recipe + "training: { \(text) }"
        if recipe == Self.core { _ = try CoreRecipe(parsing: text, source: "recipe.yaml") }
        if recipe == Self.adapter { _ = try AdapterRecipe(parsing: text, source: "recipe.yaml") }
      }
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
  }

  @Test(
    "a recipe that lacks what its bundle will need is refused before it is trained",
    arguments: [
      ("kind: adapter\nname: demo/core\nsummary: A core.", "expected core"),
      ("kind: core\nsummary: A core.", "name must be publisher/name"),
      ("kind: core\nname: core\nsummary: A core.", "name must be publisher/name"),
      ("kind: core\nname: demo/core@1.0.0\nsummary: A core.", "name must be publisher/name"),
      ("kind: core\nname: demo/core", "summary is missing"), (core + "version: later", "version must be like 1.0.0"),
      (core + "network: { blocks: [1] }", "network: blocks"),
      (core + "data: { crops: { sizes: [ { size: 36, weight: 1, batch: 4 } ] } }", "36 is no multiple of 8"),
    ])
  func refusedCore(text: String, reason: String) {
    let error = #expect(throws: BundleError.self) { try CoreRecipe(parsing: text, source: "recipe.yaml") }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(
    "an adapter's recipe names its core and its plugin",
    arguments: [
      ("kind: adapter\nname: demo/toy\ntask: { plugin: SuperResolution }", "core must name one"),
      ("kind: adapter\nname: demo/toy\ncore: Codi Photo\ntask: { plugin: SuperResolution }", "core must name one"),
      ("kind: adapter\nname: demo/toy\ncore: codi/photo", "task.plugin is missing"),
    ])
  func refusedNames(text: String, reason: String) {
    let error = #expect(throws: BundleError.self) { try AdapterRecipe(parsing: text, source: "recipe.yaml") }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
