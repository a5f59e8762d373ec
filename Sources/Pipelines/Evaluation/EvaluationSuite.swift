public import Bundles
public import Imaging
internal import Metrics
public import Registry

/// How one task is judged: which pairs, which figure decides, what faithful means. All of it was fixed before anything was
/// trained for it ([Documentation/Evaluation.md]).
public struct EvaluationSuite: Sendable {
  public enum Task: String, Sendable, CaseIterable {
    case superResolution = "super-resolution"
    case inpainting
    case depthToImage = "depth-to-image"
    case sketchToImage = "sketch-to-image"
    case other
  }
  /// The figure that decides between two methods.
  public enum Primary: Sendable {
    /// The perceptual distance to the original: there is one right answer to be near to.
    case perceptual
    /// The kernel distance of all results from real pictures, above that of the originals: many answers are right.
    case kernelAboveFloor
  }
  public enum Pictures: Sendable, Hashable {
    /// Whole pictures, reduced with a plain bicubic kernel.
    case whole
    /// Squares that the plugin degrades as it does for training.
    case squares(side: Int)
  }

  public let name: String
  public let task: Task
  public let pictures: Pictures
  let manifest: Manifest

  /// - Parameters:
  ///   - name: `nil` is made of the task and the pictures, `sr4` or `inpainting-64`.
  ///   - side: of squares; `nil` is whole pictures for super-resolution and the core's native size for other tasks.
  public init(_ manifest: Manifest, named name: String? = nil, side: Int? = nil, nativeSize: Int) {
    self.manifest = manifest
    task = Task(rawValue: manifest.task) ?? .other
    pictures = side == nil && task == .superResolution ? .whole : .squares(side: side ?? nativeSize)
    let scale = manifest.geometry?.scale ?? 1
    let stem = task == .superResolution ? "sr\(scale)" : manifest.task
    self.name =
      switch (name, pictures) {
      case (let name?, _): name
      case (nil, .whole): stem
      case (nil, .squares(let side)): "\(stem)-\(side)"
      }
  }

  public var primary: Primary {
    switch task {
    case .superResolution, .inpainting, .other: .perceptual
    case .depthToImage, .sketchToImage: .kernelAboveFloor
    }
  }

  /// The pair that a clean picture makes.
  public func pair(_ picture: CleanPicture, number: Int, plugin: TaskPlugin) throws -> EvaluationPair {
    switch pictures {
    case .whole: EvaluationPair(reducing: picture, scale: manifest.geometry?.scale ?? 1)
    case .squares(let side):
      try EvaluationPair(degrading: picture.square(side), number: number, with: plugin, manifest)
    }
  }

  /// What anybody can do without a network, where there is such a thing, with its name.
  public var baseline: String? { task == .superResolution ? "bicubic" : nil }

  func baseline(_ pair: EvaluationPair) -> Bitmap {
    Resize.bicubic(pair.inputs[0].bitmap, width: pair.original.width, height: pair.original.height)
  }

  /// How faithful a result is to the condition.
  package func fidelity(_ result: Bitmap, _ pair: EvaluationPair, plugin: TaskPlugin) throws -> (
    measure: Measure, value: Double
  )? {
    switch task {
    case .superResolution:
      let input = pair.inputs[0].bitmap
      let again = Resize.bicubic(result, width: input.width, height: input.height)
      return (.agreement, PSNR.rgb(again, input))
    case .inpainting:
      guard let image = pair.inputs.first(where: { $0.channels == 3 }),
        let mask = pair.inputs.first(where: { $0.channels == 1 })
      else { return nil }
      let known = mask.values.indices.filter { mask.values[$0] < 0.5 }
      guard !known.isEmpty else { return nil }
      let wanted = image.bitmap.pixels
      let exact = known.count { i in (3 * i..<3 * i + 3).allSatisfy { result.pixels[$0] == wanted[$0] } }
      return (.known, Double(exact) / Double(known.count))
    case .sketchToImage:
      guard let wanted = pair.inputs.first else { return nil }
      let drawn = try EvaluationPair.degrade(result, depth: nil, key: pair.key, with: plugin, manifest)[0]
      return (.lines, LineAgreement.f1(wanted, drawn))
    case .depthToImage:
      guard let depth = pair.depth else { return nil }
      return DepthContours.contrast(result, depth).map { (.contours, $0) }
    case .other: return nil
    }
  }
}

/// How well two drawings agree.
package enum LineAgreement {
  /// The harmonic mean of two shares: of the asked-for line pixels that have a drawn one within a pixel, and the other way.
  /// 1 for two drawings without lines, 0 where only one has some.
  package static func f1(_ wanted: EvaluationPair.Input, _ drawn: EvaluationPair.Input) -> Double {
    let (a, b) = (ink(wanted), ink(drawn))
    func share(_ lines: [Bool], near others: [Bool]) -> Double? {
      let all = lines.indices.filter { lines[$0] }
      guard !all.isEmpty else { return nil }
      let found = all.count { i in
        let (x, y) = (i % wanted.width, i / wanted.width)
        return (max(0, y - 1)...min(wanted.height - 1, y + 1)).contains { row in
          (max(0, x - 1)...min(wanted.width - 1, x + 1)).contains { others[row * wanted.width + $0] }
        }
      }
      return Double(found) / Double(all.count)
    }
    switch (share(b, near: a), share(a, near: b)) {
    case (nil, nil): return 1
    case (let precision?, let recall?) where precision + recall > 0:
      return 2 * precision * recall / (precision + recall)
    default: return 0
    }
  }

  /// Lines are what differs from the ground by more than half of what is there; the ground is the median.
  private static func ink(_ drawing: EvaluationPair.Input) -> [Bool] {
    let values = drawing.values
    let ground = values.sorted()[values.count / 2]
    let most = values.map { abs($0 - ground) }.max() ?? 0
    return values.map { most > 0.1 && abs($0 - ground) > most / 2 }
  }
}

/// Whether the contours of things lie where the depth has steps: what a picture shows of its depth without an estimator.
package enum DepthContours {
  /// The probability that a pixel at a step of the depth has more contrast than one elsewhere (the area under the curve of
  /// a detector), ties for half; `nil` where the depth has no step, or nothing but steps.
  package static func contrast(_ picture: Bitmap, _ depth: [Float]) -> Double? {
    let (w, h) = (picture.width, picture.height)
    func range(_ x: Int, _ y: Int, _ value: (Int) -> Float) -> Float {
      var (low, high) = (Float.infinity, -Float.infinity)
      for row in max(0, y - 1)...min(h - 1, y + 1) {
        for column in max(0, x - 1)...min(w - 1, x + 1) {
          let v = value(row * w + column)
          (low, high) = (min(low, v), max(high, v))
        }
      }
      return high - low
    }
    var values: [(contrast: Float, isStep: Bool)] = []
    for y in 0..<h {
      for x in 0..<w {
        let contrast = (0..<3).map { c in range(x, y) { Float(picture.pixels[3 * $0 + c]) } }.max() ?? 0
        values.append((contrast, range(x, y) { depth[$0] } > 0.1))
      }
    }
    let steps = Double(values.count { $0.isStep })
    guard steps > 0, steps < Double(values.count) else { return nil }
    // Mann and Whitney's statistic from ranks, equal values sharing theirs.
    values.sort { $0.contrast < $1.contrast }
    var (sum, i) = (0.0, 0)
    while i < values.count {
      var end = i
      while end < values.count, values[end].contrast == values[i].contrast { end += 1 }
      sum += Double(values[i..<end].count { $0.isStep }) * (Double(i + end + 1) / 2)
      i = end
    }
    return (sum - steps * (steps + 1) / 2) / (steps * (Double(values.count) - steps))
  }
}
