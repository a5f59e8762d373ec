public import Imaging
public import Metrics
public import Registry
public import Tensor

/// What quality is measured with, beside what needs no weights.
public struct Instruments: Sendable {
  /// Distances of a result from its original.
  public var distances: [PerceptualDistance] = []
  /// Networks whose features of all results are compared with those of real pictures.
  public var features: [PictureFeatures] = []
  public init() {}

  /// Names and SHA-256 of all weights.
  public var digests: [(name: String, digest: String)] {
    distances.map { ($0.name, $0.digests.joined(separator: " + ")) }
      + features.map { ($0.name(of: .frechet), $0.digest) }
  }

  static func measure(_ distance: PerceptualDistance) -> Measure {
    Measure(Measure.key(distance.name), distance.name, best: .low)
  }

  static func measure(_ distance: FeatureDistance, _ features: PictureFeatures) -> Measure {
    let name = features.name(of: distance)
    return switch distance {
    case .frechet: Measure(Measure.key(name), name, digits: 1, best: .low)
    case .kernel: Measure(Measure.key(name), "\(name) × 1000", digits: 1, best: .low, factor: 1000)
    }
  }
}

/// One way to make a result: an adapter with a number of steps, or what needs no network.
public struct EvaluationMethod: Sendable, Hashable {
  public let title: String
  /// `nil` needs no network.
  public let steps: Int?

  public init(_ title: String, steps: Int? = nil) { (self.title, self.steps) = (title, steps) }
}

/// A figure over all pictures of a set, with its 95 % interval.
public struct SetFigure: Sendable {
  public let measure: Measure
  public let distance: ResampledDistance
  public let value: Interval
  /// How far it lies above the floor, in pairs with the originals; `nil` for the floor itself.
  public let aboveFloor: Interval?

  init(_ measure: Measure, _ distance: ResampledDistance, floor: ResampledDistance? = nil) throws(MetricsError) {
    (self.measure, self.distance, value) = (measure, distance, distance.interval)
    aboveFloor = if let floor { try distance.difference(from: floor) } else { nil }
  }
}

/// What came of one method.
public struct MethodResult: Sendable {
  public let method: EvaluationMethod
  /// For each measure one value for each picture that has one.
  public fileprivate(set) var values: [Measure: [Double?]] = [:]
  public fileprivate(set) var sets: [SetFigure] = []
  public fileprivate(set) var seconds: [Double] = []
  /// Results of the pairs that are shown.
  public fileprivate(set) var shown: [Bitmap] = []

  /// Mean of a measure with its interval; `nil` without finite values.
  public func interval(_ measure: Measure) -> Interval? {
    let found = (values[measure] ?? []).compactMap { $0 }
    return found.isEmpty || !found.allSatisfy(\.isFinite) ? nil : Bootstrap.mean(found)
  }
}

/// Everything that one evaluation found.
public struct EvaluationResults: Sendable {
  public let suite: EvaluationSuite
  /// Pictures.
  public let n: Int
  /// In the order of the columns of a table.
  public let measures: [Measure]
  public let methods: [MethodResult]
  /// The originals themselves against the reference: what perfect results would score.
  public let floors: [SetFigure]
  /// Real pictures that sets are compared with.
  public let referenceCount: Int
  /// What is shown of the pairs: names, inputs and originals.
  public let shown: [(name: String, inputs: [Bitmap], original: Bitmap)]
  public let digests: [(name: String, digest: String)]
}

/// Measures methods on pairs.
@Compute public struct Evaluation {
  public let suite: EvaluationSuite
  public let instruments: Instruments
  /// Real pictures that sets of results are compared with; none leaves those distances out.
  public let reference: [Bitmap]
  /// Seeds for the difference between seeds; one leaves it out.
  public var seeds = 1
  /// Pairs whose results are kept to be shown.
  public var shown = 8

  public nonisolated init(_ suite: EvaluationSuite, _ instruments: Instruments, reference: [Bitmap] = []) {
    (self.suite, self.instruments, self.reference) = (suite, instruments, reference)
  }

  /// - Parameters:
  ///   - pictures: how many pairs there are.
  ///   - pair: the pair of a number.
  ///   - methods: those that need the network; the suite's baseline comes before them by itself.
  ///   - varied: the one whose seeds are varied.
  ///   - plugin: the task's, for the condition's fidelity.
  ///   - convert: makes the result of a pair with a method and a seed.
  ///   - progress: called with (pictures done, name).
  public func run(
    pictures: Int, pair: (Int) throws -> EvaluationPair, methods: [EvaluationMethod], varied: EvaluationMethod?,
    plugin: TaskPlugin, convert: (EvaluationPair, EvaluationMethod, UInt64) throws -> Bitmap,
    progress: (Int, String) -> Void = { _, _ in }
  ) throws -> EvaluationResults {
    let all = (suite.baseline.map { [EvaluationMethod($0)] } ?? []) + methods
    var results = all.map { MethodResult(method: $0) }
    var rows = all.map { _ in instruments.features.map { _ in [[Double]]() } }
    var originals = instruments.features.map { _ in [[Double]]() }
    var order: [Measure] = []
    var kept: [(name: String, inputs: [Bitmap], original: Bitmap)] = []
    for number in 0..<pictures {
      let pair = try pair(number)
      if number < shown { kept.append((pair.name, pair.inputs.map(\.bitmap), pair.original)) }
      for (i, features) in instruments.features.enumerated() where !reference.isEmpty {
        originals[i].append(try features(pair.original))
      }
      for (index, method) in all.enumerated() {
        let start = ContinuousClock.now
        let made = method.steps == nil ? suite.baseline(pair) : try convert(pair, method, 0)
        if method.steps != nil { results[index].seconds.append((ContinuousClock.now - start) / .seconds(1)) }
        if number < shown { results[index].shown.append(made) }
        func note(_ measure: Measure, _ value: Double?) {
          if !order.contains(measure) { order.append(measure) }
          results[index].values[measure, default: []].append(value)
        }
        note(.psnr, PSNR.rgb(made, pair.original))
        note(.ssim, min(made.width, made.height) >= 11 ? try SSIM.luma(made, pair.original) : nil)
        for distance in instruments.distances {
          note(Instruments.measure(distance), try distance.distance(made, pair.original))
        }
        note(.energy, EnergyRatio.of(made, original: pair.original))
        if let (measure, value) = try suite.fidelity(made, pair, plugin: plugin) { note(measure, value) }
        for (i, features) in instruments.features.enumerated() where !reference.isEmpty {
          rows[index][i].append(try features(made))
        }
        if method == varied, seeds > 1 {
          let others = try (1..<seeds).map { try convert(pair, method, UInt64($0)) }
          let differences = others.map { Self.rootMeanSquare(made, $0) }
          note(.diversity, differences.reduce(0, +) / Double(differences.count))
        }
      }
      progress(number + 1, pair.name)
    }
    let sets = try setFigures(rows: rows, originals: originals)
    for index in results.indices {
      results[index].sets = sets.methods[index]
    }
    return EvaluationResults(
      suite: suite, n: pictures, measures: order, methods: results, floors: sets.floors,
      referenceCount: reference.count, shown: kept, digests: instruments.digests)
  }

  private func setFigures(
    rows: [[[[Double]]]], originals: [[[Double]]]
  ) throws -> (methods: [[SetFigure]], floors: [SetFigure]) {
    var (methods, floors) = (rows.map { _ in [SetFigure]() }, [SetFigure]())
    guard reference.count >= 2, (originals.first?.count ?? 0) >= 2 else { return (methods, floors) }
    for (i, features) in instruments.features.enumerated() {
      let real = try features(reference)
      let clean = Matrix(rows: originals[i])
      for distance in FeatureDistance.allCases {
        let measure = Instruments.measure(distance, features)
        let floor = try distance.resampled(clean, real)
        floors.append(try SetFigure(measure, floor))
        for index in rows.indices {
          methods[index].append(
            try SetFigure(measure, try distance.resampled(Matrix(rows: rows[index][i]), real), floor: floor))
        }
      }
    }
    return (methods, floors)
  }

  /// In levels of 255.
  private static func rootMeanSquare(_ a: Bitmap, _ b: Bitmap) -> Double {
    let sum = zip(a.pixels, b.pixels).reduce(0.0) { $0 + Double(Int($1.0) - Int($1.1)) * Double(Int($1.0) - Int($1.1)) }
    return (sum / Double(max(1, a.pixels.count))).squareRoot()
  }

  /// How much larger each figure of `a` is than that of `b` on the same pictures: picture by picture for what each picture
  /// has, drawn in pairs for sets. An interval without 0 means that they differ.
  public nonisolated static func difference(
    _ a: MethodResult, _ b: MethodResult
  ) throws(MetricsError) -> [(measure: Measure, value: Interval)] {
    var found: [(measure: Measure, value: Interval)] = []
    for (measure, values) in a.values.sorted(by: { $0.key.key < $1.key.key }) {
      let pairs = zip(values, b.values[measure] ?? []).compactMap { x, y in
        x.flatMap { x in y.map { (x, $0) } }
      }
      guard !pairs.isEmpty, pairs.allSatisfy({ $0.0.isFinite && $0.1.isFinite }) else { continue }
      found.append((measure, try Bootstrap.difference(pairs.map(\.0), pairs.map(\.1))))
    }
    for (mine, theirs) in zip(a.sets, b.sets) {
      found.append((mine.measure, try mine.distance.difference(from: theirs.distance)))
    }
    return found
  }
}
