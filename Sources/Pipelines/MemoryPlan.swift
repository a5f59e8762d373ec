internal import Adapters
internal import Bundles
internal import Imaging
internal import Registry
internal import Tensor

/// How a job keeps within a limit of memory.
public struct MemoryPlan: Sendable, Hashable {
  /// Largest side of a region: the one choice that changes the bytes of results.
  public var region: Int
  /// Pictures under way at a time.
  public var jobs: Int
  /// Results of so many pixels and more are made row by row.
  public var rowsFrom: Int
  /// Whether conditions that were encoded once are kept from step to step.
  public var keepsFeatures: Bool
  /// Peak that is expected, in bytes.
  public var bytes: Int
}

extension Job {
  private static let regions = [320, 256, 192, 128, 96, 64]

  /// The job with the choices that keep it below `limit` bytes, from the headers of all pictures and one measured region.
  ///
  /// What costs nothing but time goes first: fewer pictures at a time, rows instead of whole pictures, features computed
  /// again. Smaller regions come last, because they change what comes out.
  /// - Throws: `ConversionError`, `memory` with the smallest limit that would do.
  @Compute public func planned(for limit: Int) throws -> (job: Job, plan: MemoryPlan) {
    let pictures = try headers()
    let settings = try chain.settings(ItemChoices())
    let model = try MemoryModel(measuring: try chain.converters(settings))
    var smallest: (bytes: Int, picture: Int)?
    let asked = chain.options.region
    for region in [asked] + Self.regions.filter({ $0 < asked && $0 > chain.options.overlap + 16 }) {
      var options = chain.options
      options.region = region
      let loads = try loads(pictures, options)
      for (rowsFrom, keepsFeatures) in [(self.options.rowsFrom, true), (0, true), (0, false)] {
        for jobs in (1...atATime).reversed() {
          let needs = needs(loads, model, jobs: jobs, region: region, rowsFrom: rowsFrom, keepsFeatures: keepsFeatures)
          let bytes = model.base + needs.bytes(jobs: jobs)
          if bytes < smallest?.bytes ?? .max { smallest = (bytes, needs.largest) }
          guard bytes <= limit else { continue }
          if !keepsFeatures { options.featureBudget = 0 }
          var chosen = self.options
          (chosen.jobs, chosen.rowsFrom) = (jobs, rowsFrom)
          return (
            Job(plan, try chain.with(options), journal, options: chosen),
            MemoryPlan(region: region, jobs: jobs, rowsFrom: rowsFrom, keepsFeatures: keepsFeatures, bytes: bytes)
          )
        }
      }
    }
    let least = (smallest?.bytes ?? model.base) >> 20 + 1
    let largest = smallest.flatMap { pictures.indices.contains($0.picture) ? pictures[$0.picture] : nil }
    throw ConversionError(
      .memory, at: "--max-memory",
      "\(limit >> 20) MiB are not enough: "
        + (largest.map { "\($0.item.input) of \($0.header.width) x \($0.header.height) takes \(least) MiB." }
          ?? "the adapter alone takes \(least) MiB."),
      remedy: "Allow \(least)M, or leave that picture out.")
  }

  /// What the job is expected to hold with the choices it has.
  @Compute func expectedMemory(_ pictures: [(item: JobItem, header: PictureHeader)]) throws -> Int {
    let model = try MemoryModel(measuring: try chain.converters(try chain.settings(ItemChoices())))
    let loads = try loads(pictures, chain.options)
    return model.base
      + needs(
        loads, model, jobs: atATime, region: chain.options.region, rowsFrom: options.rowsFrom, keepsFeatures: true
      ).bytes(jobs: atATime)
  }

  private var atATime: Int { max(1, min(options.jobs, plan.items.count)) }

  /// Every picture of the plan whose header can be read: also those that are done, and other shares', so that every start
  /// and every share comes to the same plan.
  private func headers() throws -> [(item: JobItem, header: PictureHeader)] {
    plan.items.compactMap { item in (try? probe(item.input)).map { (item, $0) } }
  }

  @Compute private func loads(
    _ pictures: [(item: JobItem, header: PictureHeader)], _ options: Converter.Options
  ) throws -> [MemoryModel.Load] {
    var known: [ItemChoices: (settings: Chain.Settings, converters: [Converter])] = [:]
    return try pictures.map { item, header in
      if known[item.choices] == nil {
        let settings = try chain.settings(item.choices)
        known[item.choices] = (settings, try chain.converters(settings))
      }
      var load = MemoryModel.Load(
        input: (header.width, header.height), bands: header.hasAlpha ? 4 : 3, depth: header.bitDepth,
        isDecodedInRows: header.isDecodedInRows, canBeInRows: chain.canConvertInRows,
        pictures: 1 + item.others.count, format: PictureFormat(path: item.output), stages: [])
      var size = load.input
      for converter in known[item.choices]?.converters ?? [] {
        let cut = try converter.plan(width: size.width, height: size.height, region: options.region)
        size = try converter.outputSize(width: size.width, height: size.height)
        load.stages.append(
          .init(
            output: size, cut: cut, steps: converter.steps, looksBack: converter.looksBack,
            halo: converter.adapter.manifest.geometry?.halo ?? 0,
            features: converter.keepsFeatures ? options.featureBudget : 0))
      }
      return load
    }
  }

  /// The most that one picture takes in the network, and outside of it.
  private struct Needs {
    var network = 0, outside = 0
    /// What the network keeps meanwhile.
    var kept = 0
    /// Number of the picture that takes the most.
    var largest = -1

    func bytes(jobs: Int) -> Int { jobs == 1 ? max(network, kept + outside) : network + (jobs - 1) * outside }
  }

  private func needs(
    _ loads: [MemoryModel.Load], _ model: MemoryModel, jobs: Int, region: Int, rowsFrom: Int, keepsFeatures: Bool
  ) -> Needs {
    var needs = Needs()
    for (number, load) in loads.enumerated() {
      let inRows = load.canBeInRows && load.outputPixels >= rowsFrom
      var shown = load
      if !keepsFeatures { for stage in shown.stages.indices { shown.stages[stage].features = 0 } }
      if jobs > 1, !inRows {
        let pictures = plan.items.count
        shown.together = min(
          pictures, shown.stages.map { NetworkQueue.together($0.cut, region: region) }.max() ?? 1)
        shown.shared = min(pictures, Room.shared(shown.outputPixels, region: region))
      }
      let network = model.inNetwork(shown, inRows: inRows)
      let outside = inRows ? 0 : model.outside(shown)
      if max(network, outside) > max(needs.network, needs.outside) { needs.largest = number }
      needs.network = max(needs.network, network)
      needs.outside = max(needs.outside, outside)
      needs.kept = max(needs.kept, model.kept(shown))
    }
    return needs
  }
}
