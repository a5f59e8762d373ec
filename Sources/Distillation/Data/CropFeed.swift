public import Imaging

/// What a training batch is made of.
public struct CropFeedOptions: Codable, Hashable, Sendable {
  /// Relative weights; they need not add up to one. Without photographs the rest shares their weight.
  public struct Mixture: Codable, Hashable, Sendable {
    public var photographs = 0.67
    public var deadLeaves = 0.17
    public var gradients = 0.04
    public var glyphEdges = 0.12
    /// Ray-cast scenes; none unless a recipe asks, so that recipes from before them draw what they drew.
    public var scenes = 0.0

    public init() {}
  }

  /// One size of crop: `weight` of all steps draw `batch` crops of `size`×`size`.
  public struct Size: Codable, Hashable, Sendable {
    public var size: Int
    public var weight: Double
    public var batch: Int

    public init(size: Int, weight: Double, batch: Int) {
      self.size = size
      self.weight = weight
      self.batch = batch
    }
  }

  public var seed: UInt64 = 1
  public var mixture = Mixture()
  public var sizes = [Size(size: 32, weight: 0.5, batch: 64), Size(size: 64, weight: 0.5, batch: 64)]

  public init() {}
}

/// Clean pictures for one training step, all of one size.
public struct CropBatch: Hashable, Sendable {
  public let step: Int
  public let count: Int
  public let size: Int
  /// `[count, size, size, 3]`, sRGB, −1...1.
  public let pixels: [Float]

  /// One picture of the batch, to look at.
  public func bitmap(_ index: Int) -> Bitmap {
    let n = size * size * 3
    return Bitmap(
      width: size, height: size, pixels: pixels[index * n..<(index + 1) * n].map { quantised($0 * 0.5 + 0.5) })
  }
}

/// An endless, index-addressed row of batches: each is a pure function of (options, photographs, step), so that a resumed
/// run sees the same pictures, and any thread may make any batch.
public struct CropFeed: Sendable {
  public enum Kind: CaseIterable, Sendable { case photograph, deadLeaves, gradients, glyphEdges, scenes }

  public let options: CropFeedOptions
  private let photographs: Photographs?
  /// Photographs that are left out, and why.
  public var broken: [Photographs.Broken] { photographs?.broken ?? [] }
  /// Per entry of `options.sizes`: the photographs that are large enough.
  private let usable: [[Int]]
  private let kinds: [(kind: Kind, upTo: Float)]
  private let sizes: [Float]

  /// - Throws: when weights or sizes make no sense, or no photograph is large enough for a size.
  public init(_ options: CropFeedOptions, photographs: Photographs?) throws(DataError) {
    let m = options.mixture
    var weights: [(Kind, Double)] = [
      (.deadLeaves, m.deadLeaves), (.gradients, m.gradients), (.glyphEdges, m.glyphEdges),
      (.scenes, m.scenes),
    ]
    if photographs != nil { weights.append((.photograph, m.photographs)) }
    guard weights.allSatisfy({ $0.1 >= 0 && $0.1.isFinite }), weights.contains(where: { $0.1 > 0 }) else {
      throw DataError(
        .options, at: "mixture", "The weights are \(m).", remedy: "Give weights that are not negative, one above zero.")
    }
    guard !options.sizes.isEmpty,
      options.sizes.allSatisfy({
        8...1024 ~= $0.size && 1...65_536 ~= $0.batch && $0.weight > 0 && $0.weight.isFinite
      })
    else {
      throw DataError(
        .options, at: "sizes", "A size is 8 to 1024 pixels, with a positive weight and batch.",
        remedy: "Correct the list of sizes.")
    }
    var usable: [[Int]] = []
    for size in options.sizes {
      let large = photographs?.pictures.indices.filter { i in
        photographs.map { min($0.pictures[i].width, $0.pictures[i].height) >= size.size } ?? false
      }
      guard large?.isEmpty != true || m.photographs == 0 else {
        throw DataError(
          .options, at: "sizes",
          "No photograph is \(2 * size.size) pixels high and wide, as crops of \(size.size) need.",
          remedy: "Take smaller crops or larger photographs.")
      }
      usable.append(large ?? [])
    }
    self.options = options
    self.photographs = photographs
    self.usable = usable
    kinds = zip(weights.map(\.0), CropFeed.cumulative(weights.map(\.1))).map { ($0, $1) }
    sizes = CropFeed.cumulative(options.sizes.map(\.weight))
  }

  /// The batch of a step, `step` ≥ 0.
  public func batch(step: Int) -> CropBatch {
    precondition(step >= 0, "steps count from zero")
    // Sample numbers below are 0..<batch; the step's own choice uses a number no batch reaches.
    var random = Philox(seed: options.seed, step: step, sample: Int(UInt32.max))
    let choice = random.uniform()
    let which = sizes.firstIndex { choice < $0 } ?? sizes.count - 1
    let size = options.sizes[which].size
    let count = options.sizes[which].batch
    let n = size * size * 3
    let pixels = [Float](unsafeUninitializedCapacity: count * n) { buffer, initialized in
      for sample in 0..<count {
        let out = UnsafeMutableBufferPointer(rebasing: buffer[sample * n..<(sample + 1) * n])
        draw(step: step, sample: sample, size: size, usable: usable[which], into: out)
      }
      initialized = count * n
    }
    return CropBatch(step: step, count: count, size: size, pixels: pixels)
  }

  private func draw(step: Int, sample: Int, size: Int, usable: [Int], into out: UnsafeMutableBufferPointer<Float>) {
    var random = Philox(seed: options.seed, step: step, sample: sample)
    let choice = random.uniform()
    let kind = kinds.first { choice < $0.upTo }?.kind ?? .deadLeaves
    if kind == .photograph, let photographs {
      let picture = photographs.pictures[usable[random.index(usable.count)]]
      let crop = Crop(size: size, width: picture.width, height: picture.height, using: &random)
      crop.render(picture, size: size, into: out)
    } else {
      CropFeed.synthetic(kind, size: size, using: &random, into: out)
    }
  }

  /// One picture drawn by the program, `[size, size, 3]`, −1...1; `kind` is not `.photograph`.
  package static func synthetic(
    _ kind: Kind, size: Int, using random: inout Philox, into out: UnsafeMutableBufferPointer<Float>
  ) {
    switch kind {
    case .deadLeaves: DeadLeaves.draw(size: size, using: &random, into: out)
    case .gradients: ColourGradients.draw(size: size, using: &random, into: out)
    case .glyphEdges: GlyphEdges.draw(size: size, using: &random, into: out)
    case .scenes:
      withUnsafeTemporaryAllocation(of: Float.self, capacity: size * size) {
        Scenes.draw(size: size, using: &random, into: out, depth: $0)
      }
    case .photograph: preconditionFailure("photographs are read, not drawn")
    }
  }

  private static func cumulative(_ weights: [Double]) -> [Float] {
    let total = weights.reduce(0, +)
    var sum = 0.0
    return weights.map { weight in
      sum += weight
      return Float(sum / total)
    }
  }
}
