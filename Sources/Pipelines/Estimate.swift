internal import Adapters
internal import Bundles
internal import Diffusion
internal import Foundation
internal import Imaging
internal import Networks
internal import Registry
internal import Tensor

/// What a job will take, from the pictures' headers and one measured region of each adapter.
public struct JobEstimate: Sendable {
  /// To convert, and those that need nothing.
  public var pictures = 0, skipped = 0
  public var regions = 0
  /// Wall time for all pictures.
  public var seconds = 0.0
  /// Peak memory of the process.
  public var bytes = 0
  /// What would be converted, in the order of the plan.
  public var items: [JobItem] = []
}

extension Job {
  /// Headers that are read at most; longer jobs are judged by as many, evenly spread.
  private static let sample = 2000

  /// Reads only headers, and converts one region of the kind that the largest picture is cut into.
  ///
  /// Pictures whose header cannot be read count as nothing: they will fail at once.
  /// - Throws: `ConversionError` for what would also stop the job before its first conversion.
  @Compute public func estimate() throws -> JobEstimate {
    let agenda = try agenda(isDryRun: true)
    var estimate = JobEstimate()
    (estimate.pictures, estimate.skipped) = (agenda.todo.count, agenda.skipped.count)
    let todo = agenda.todo.sorted { $0.number < $1.number }
    estimate.items = todo.map { plan.items[$0.number] }
    let step = max(1, todo.count / Self.sample)
    let looked = stride(from: 0, to: todo.count, by: step).map { todo[$0] }
    /// For each stage.
    var loads = [Load](repeating: Load(), count: chain.stages.count)
    var pictures: [(item: JobItem, header: PictureHeader)] = []
    for work in looked {
      guard let header = try? probe(plan.items[work.number].input) else { continue }
      pictures.append((plan.items[work.number], header))
      var size = (width: header.width, height: header.height)
      for (stage, converter) in try chain.converters(agenda.settings[work.settings]).enumerated() {
        let cut = try converter.plan(width: size.width, height: size.height)
        size = try converter.outputSize(width: size.width, height: size.height)
        loads[stage].add(
          cut, steps: converter.steps, outputPixels: size.width * size.height,
          together: NetworkQueue.together(cut, region: converter.options.region))
      }
    }
    // Before the rehearsal, whose own memory would count.
    estimate.bytes = try expectedMemory(pictures)
    guard let first = agenda.settings.first, let shapes = Optional(loads.compactMap(\.shape)),
      shapes.count == loads.count
    else { return estimate }
    for (stage, converter) in try chain.converters(first).enumerated() {
      let pictures = options.jobs > 1 ? min(loads[stage].together, todo.count) : 1
      let (network, rest) = try converter.rehearse(
        width: shapes[stage].width, height: shapes[stage].height, pictures: pictures)
      estimate.seconds += network * Double(loads[stage].evaluatedPixels) + rest * Double(loads[stage].outputPixels)
      estimate.regions += loads[stage].regions
    }
    let scale = Double(todo.count) / Double(looked.count)
    estimate.seconds *= scale
    estimate.regions = Int((Double(estimate.regions) * scale).rounded())
    return estimate
  }

  private struct Load {
    var regions = 0, evaluatedPixels = 0, outputPixels = 0
    /// Pixels of the largest picture, a region of it, and how many such pictures share an evaluation.
    var largest = 0
    var shape: (width: Int, height: Int)?
    var together = 1

    mutating func add(_ cut: RegionPlan, steps: Int, outputPixels: Int, together: Int) {
      regions += cut.count
      evaluatedPixels += cut.count * cut.regionWidth * cut.regionHeight * steps
      self.outputPixels += outputPixels
      guard cut.width * cut.height > largest else { return }
      largest = cut.width * cut.height
      shape = (cut.regionWidth, cut.regionHeight)
      self.together = together
    }
  }
}

extension Converter {
  /// Seconds of one network evaluation for each pixel of a region of this size, of which so many are in it, and seconds of
  /// everything else for each pixel of a result.
  @Compute func rehearse(width: Int, height: Int, pictures: Int) throws -> (network: Double, rest: Double) {
    let core = adapter.core.network.configuration
    func noise(_ key: UInt64, _ channels: Int) -> Tensor {
      NoiseStream.normal(
        (0..<pictures).map { NoiseStream(key: key).derived(UInt64($0)) }, draw: 0, height: height, width: width,
        channels: channels)
    }
    let z = noise(1, core.pictureChannels)
    let c = noise(2, conditionChannels)
    let level = core.schedule.level(at: 0.5)
    // The first run makes the kernels ready.
    let network = try mean { _ = try denoiser(z, c, [level], prepared: try denoiser.prepare(c)) }

    let scale = adapter.manifest.geometry?.scale ?? 1
    let (w, h) = (max(1, width / scale), max(1, height / scale))
    func grain(_ width: Int, _ height: Int, _ channels: Int = 3) -> [Float] {
      NoiseStream(key: 3).normal(draw: 0, height: height, width: width, channels: channels).floats()
        .map { 0.5 + 0.1 * $0 }
    }
    let brought = try inputs.map {
      try PictureRegion(grain(w, h, $0.kind.channels), width: w, height: h, channels: $0.kind.channels)
    }
    let size = try plugin.outputSize(width: w, height: h)
    let result = try PictureRegion(grain(size.width, size.height), width: size.width, height: size.height)
    let rest = try mean {
      _ = try plugin.prepare(brought, region: result.region, channels: adapter.encoder.configuration.conditionChannels)
      let made = try plugin.finish(brought, result: result, region: result.region)
      _ = try encode(Picture(width: size.width, height: size.height, pixels: made.values), as: .png)
    }
    return (network / Double(pictures * width * height), rest / Double(size.width * size.height))
  }

  /// Seconds of one run after a first: the mean of half a second's runs, two at least, so that a busy machine counts.
  private func mean(_ body: () throws -> Void) rethrows -> Double {
    try body()
    let start = ContinuousClock.now
    var (runs, seconds) = (0, 0.0)
    while runs < 2 || seconds < 0.5 {
      try body()
      runs += 1
      seconds = (ContinuousClock.now - start) / .seconds(1)
    }
    return seconds / Double(runs)
  }
}
