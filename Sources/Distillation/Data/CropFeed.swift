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
  /// `[count, size, size]`: inverse depth, 0 at the farthest pixel, 1 at the nearest; `nil` unless the feed has depth.
  public let depth: [Float]?

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
  /// Whether batches have depth.
  public let hasDepth: Bool
  private let photographs: Photographs?
  /// Photographs that are left out, and why.
  public var broken: [Photographs.Broken] { photographs?.broken ?? [] }
  /// Per entry of `options.sizes`: the photographs that are large enough.
  private let usable: [[Int]]
  private let kinds: [(kind: Kind, upTo: Float)]
  private let sizes: [Float]

  /// - Parameter hasDepth: whether every picture needs its depth, which only scenes have.
  /// - Throws: when weights or sizes make no sense, or no photograph is large enough for a size; with `hasDepth` for
  ///   pictures without.
  public init(_ options: CropFeedOptions, photographs: Photographs?, hasDepth: Bool = false) throws(DataError) {
    let m = options.mixture
    if hasDepth {
      guard photographs == nil else { throw Self.lacksDepth("photographs") }
      guard m.deadLeaves + m.gradients + m.glyphEdges == 0 else { throw Self.lacksDepth("other drawn pictures") }
    }
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
    self.hasDepth = hasDepth
    self.photographs = photographs
    self.usable = usable
    kinds = zip(weights.map(\.0), CropFeed.cumulative(weights.map(\.1))).map { ($0, $1) }
    sizes = CropFeed.cumulative(options.sizes.map(\.weight))
  }

  /// Why such pictures cannot be in a feed with depth.
  static func lacksDepth(_ pictures: String) -> DataError {
    DataError(
      .options, at: "data",
      "The task is trained with the depth of every pixel, which scenes have and \(pictures) have not.",
      remedy: "Name no photographs, and write "
        + "mixture: { photographs: 0, scenes: 1, dead-leaves: 0, gradients: 0, glyph-edges: 0 } under crops.")
  }

  /// The batch of a step, `step` ≥ 0; of several processes' batch the part of one.
  public func batch(step: Int, ranks: Ranks = .alone) -> CropBatch {
    precondition(step >= 0, "steps count from zero")
    // Sample numbers below are 0..<batch; the step's own choice uses a number no batch reaches.
    var random = Philox(seed: options.seed, step: step, sample: Int(UInt32.max))
    let choice = random.uniform()
    let which = sizes.firstIndex { choice < $0 } ?? sizes.count - 1
    let size = options.sizes[which].size
    let count = options.sizes[which].batch
    let area = size * size
    var depth = [Float](repeating: 0, count: hasDepth ? count * area : 0)
    let pixels = [Float](unsafeUninitializedCapacity: count * area * 3) { buffer, initialized in
      for sample in 0..<count {
        let out = UnsafeMutableBufferPointer(rebasing: buffer[sample * area * 3..<(sample + 1) * area * 3])
        if hasDepth {
          depth.withUnsafeMutableBufferPointer {
            let depth = UnsafeMutableBufferPointer(rebasing: $0[sample * area..<(sample + 1) * area])
            draw(step: step, sample: ranks.sample(sample), size: size, usable: usable[which], into: out, depth: depth)
          }
        } else {
          draw(step: step, sample: ranks.sample(sample), size: size, usable: usable[which], into: out)
        }
      }
      initialized = count * area * 3
    }
    return CropBatch(step: step, count: count, size: size, pixels: pixels, depth: hasDepth ? depth : nil)
  }

  private func draw(
    step: Int, sample: Int, size: Int, usable: [Int], into out: UnsafeMutableBufferPointer<Float>,
    depth: UnsafeMutableBufferPointer<Float>? = nil
  ) {
    var random = Philox(seed: options.seed, step: step, sample: sample)
    let choice = random.uniform()
    let kind = kinds.first { choice < $0.upTo }?.kind ?? .deadLeaves
    if let depth {
      // All of such a feed are scenes.
      Scenes.draw(size: size, using: &random, into: out, depth: depth)
    } else if kind == .photograph, let photographs {
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
