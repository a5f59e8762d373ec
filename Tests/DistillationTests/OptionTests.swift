import Adapters
import Bundles
import Diffusion
import Distillation
import Foundation
import Networks
import Tensor
import Testing

/// Every choice of the distillation step, in whole runs on a toy core.
@Suite("Every option trains", .serialized, .oneThread) @Compute struct OptionTests {
  struct Choice: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var recipe: AdapterRecipe
  }

  /// One choice away from paper mode, with what it cannot do without.
  nonisolated static let choices: [Choice] = {
    var all: [Choice] = []
    func add(_ name: String, _ change: (inout DistillationOptions) -> Void) {
      var recipe = Toy.adapterRecipe()
      change(&recipe.distillation)
      all.append(Choice(testDescription: name, recipe: recipe))
    }
    add("paper") { _ in }
    for predictor in [Predictor.ddim, .mix] { add("predictor \(predictor)") { $0.predictor = predictor } }
    for space in DistillationOptions.Space.allCases { add("space \(space)") { $0.space = space } }
    for metric in DistillationOptions.Metric.allCases { add("metric \(metric)") { $0.metric = metric } }
    for weighting in DistillationOptions.Weighting.allCases {
      add("weighting \(weighting)") { ($0.weighting, $0.gap) = (weighting, 0.1) }
    }
    for schedule in DistillationOptions.GuidanceSchedule.allCases {
      add("guidance \(schedule)") { $0.guidanceSchedule = schedule }
    }
    for target in DistillationOptions.Target.allCases { add("target \(target)") { $0.target = target } }
    for ode in DistillationOptions.ODE.allCases { add("ode \(ode)") { $0.ode = ode } }
    for times in DistillationOptions.Times.allCases { add("times \(times)") { $0.times = times } }
    add("gaps curriculum") { ($0.gaps, $0.stageSamples) = (.curriculum, 8) }
    add("cycle") { $0.cycle = 1 }
    add("no guidance") { $0.guidance = 0 }
    add("no consistency") { $0.consistency = 0 }
    for ode in DistillationOptions.ODE.allCases {
      add("continuous, ode \(ode)") {
        ($0.form, $0.ode, $0.space, $0.target) = (.continuous, ode, .velocity, .stopGradient)
        ($0.predictor, $0.tangentWarmUp) = (ode == .data ? .prev : .ddim, 16)
      }
    }
    add("progressive") {
      ($0.form, $0.ode, $0.predictor, $0.space) = (.progressive, .frozen, .ddim, .velocity)
      ($0.stageSamples, $0.progressiveSteps) = (16, 4)
    }
    for trains in DistillationOptions.Trains.allCases { add("trains \(trains)") { $0.trains = trains } }
    for sees in ConditionEncoderConfiguration.Sees.allCases {
      add("sees \(sees)") { _ in }
      all[all.count - 1].recipe.encoder.sees = sees
    }
    return all
  }()

  @Test("and is read from a recipe", arguments: choices)
  func isRead(choice: Choice) throws {
    #expect(try AdapterRecipe(parsing: choice.recipe.yaml(), source: "recipe.yaml") == choice.recipe)
  }

  @Test(
    "for five steps: losses are finite, every parameter that learns moves, and none that is frozen", arguments: choices)
  func runs(choice: Choice) throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let before = core.network.parameters.map { $0.value.floats() }
      var recipe = choice.recipe
      // Decay moves weights without any gradient, which is not what is asked here.
      recipe.training.optimiser.weightDecay = 0
      recipe.training.logEvery = 1
      recipe.muRate = 5
      let run = RunFolder(at: URL(filePath: "\(path)/run"))
      try Toy.train(recipe, on: core, in: run, stopAfter: 0)
      let start = try run.open()
      try Toy.train(recipe, on: core, in: run, stopAfter: 5)
      let lines = try run.lines()
      #expect(lines.count == 5 && lines.allSatisfy { $0.values.values.allSatisfy(\.isFinite) })
      let options = recipe.distillation
      #expect((lines[4].values["consistency"] != nil) == (options.consistency > 0))
      #expect((lines[4].values["cycle"] != nil) == (options.cycle > 0))
      let end = try run.open()
      let names = end.names(below: "weight/")
      #expect(names.contains { $0.hasPrefix("core.") } == (options.trains == .everything))
      for name in names {
        #expect(try end.floats("weight/\(name)") != start.floats("weight/\(name)"), "\(name) never moved")
      }
      #expect(core.network.parameters.map { $0.value.floats() } == before, "the core is written to")
      // The target follows; the teacher stays, unless the student has taken its place.
      let (targets, teachers) = (end.names(below: "extra/"), end.names(below: "teacher/"))
      let isEMA = options.consistency > 0 && options.form == .discrete && options.target == .ema
      #expect(targets == (isEMA ? names : []) && teachers == (options.ode == .frozen ? names : []))
      for name in targets { #expect(try end.floats("extra/\(name)") != start.floats("extra/\(name)"), "\(name)") }
      for name in teachers {
        let stays = try end.floats("teacher/\(name)") == start.floats("teacher/\(name)")
        #expect(stays == (options.form != .progressive), "\(name)")
      }
    }
  }

  @Test("a run with a teacher and full training resumes to the same bits", arguments: [false, true])
  func resume(progressive: Bool) throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      var recipe = Toy.adapterRecipe(steps: 8)
      recipe.distillation.trains = .everything
      recipe.distillation.ode = .frozen
      if progressive {
        recipe.distillation.form = .progressive
        (recipe.distillation.predictor, recipe.distillation.space) = (.ddim, .velocity)
        (recipe.distillation.stageSamples, recipe.distillation.progressiveSteps) = (24, 4)
      }
      let (whole, parts) = (RunFolder(at: URL(filePath: "\(path)/a")), RunFolder(at: URL(filePath: "\(path)/b")))
      #expect(try Toy.train(recipe, on: core, in: whole) == .finished)
      // The third step ends where the number of steps is halved.
      for steps in [3, 2] { try Toy.train(recipe, on: core, in: parts, stopAfter: steps) }
      #expect(try Toy.train(recipe, on: core, in: parts) == .finished)
      #expect(try parts.open().differences(from: try whole.open()) == [])
      // The run's own core is the averaged copy, under the names of a core's weights file.
      let own = try SafetensorsFile(path: whole.ownCore.path)
      let state = try whole.open()
      #expect(Set(own.names) == Set(core.network.parameters.map(\.name)))
      for name in own.names { #expect(try own.floats(name) == state.floats("average/core.\(name)"), "\(name)") }
      let adapter = try SafetensorsFile(path: whole.ownAdapter.path)
      for name in adapter.names { #expect(try adapter.floats(name) == state.floats("average/\(name)"), "\(name)") }
    }
  }

  @Test("a cycle is refused where the condition is no smaller picture")
  func cycle() throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      var recipe = Toy.adapterRecipe()
      recipe.distillation.cycle = 1
      recipe.encoder.conditionChannels = 1
      let error = #expect(throws: TrainingError.self) {
        try Toy.train(recipe, on: core, in: RunFolder(at: URL(filePath: "\(path)/run")))
      }
      #expect(error?.location == "distillation.cycle")
    }
  }

  @Test(
    "the curriculum's gaps are ECT's: wide at first, halved at each stage, never below a thousandth of the noise level")
  func curriculum() {
    var options = DistillationOptions()
    (options.gaps, options.stageSamples) = (.curriculum, 100)
    let shares: [(Int, Double)] = [(0, 0.5), (99, 0.5), (100, 0.25), (350, 0.0625), (100_000, 0.001)]
    for time in [0.05, 0.5, 0.9, 0.999] {
      let tau: Double = tan(time * .pi / 2)
      for (seen, share) in shares {
        let width: Double = 1 + 8 / (1 + exp(tau))
        let expected: Double = max(0, tau - tau * share * width)
        let s = options.earlier(than: time, seen: seen, .cosineAngle)
        let found: Double = tan(s * .pi / 2)
        #expect(abs(found - expected) < 1e-4 * max(1, tau), "t \(time), \(seen) samples")
        #expect(s <= time)
      }
    }
  }

  @Test("progressive distillation halves its steps from the first number to one, on times of that grid")
  func grid() {
    var options = DistillationOptions()
    (options.form, options.stageSamples, options.progressiveSteps, options.latest) = (.progressive, 10, 4, 0.8)
    for (seen, steps) in [(0, 4), (9, 4), (10, 2), (20, 1), (1000, 1)] as [(Int, Int)] {
      for time in [0.001, 0.2, 0.33, 0.8] {
        let (t, gap) = options.onGrid(time, seen: seen)
        let (wanted, place): (Double, Double) = (0.8 / Double(steps), t / gap)
        #expect(abs(gap - wanted) < 1e-12)
        #expect(t >= time - 1e-12 && t - time < gap)
        #expect(abs(place.rounded() - place) < 1e-9)
      }
    }
  }
}
