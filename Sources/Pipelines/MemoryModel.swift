internal import Bundles
internal import Foundation
internal import Imaging
internal import Registry
internal import Tensor

/// What conversions hold, in bytes: what the process has now, what was measured for one region of the network, and what
/// the buffers of `StepCascade`, `ResultRows`, reader and writer come to.
struct MemoryModel: Sendable {
  /// Held whatever is converted: program, weights, packed kernels.
  let base: Int
  /// Activations and workspace for each pixel of a region.
  let perRegionPixel: Double

  /// Decoders, encoders, the plugin's side of a call, and what allocators do not give back.
  private static let beside = 64 << 20
  /// What is not counted one by one.
  private static let allowance = 1.15

  /// Evaluates one small region with every converter.
  @Compute init(measuring converters: [Converter]) throws {
    let side = 64
    var (largest, packed) = (0.0, 0)
    for converter in converters {
      trimMemoryPool()
      let before = memoryPoolByteCount
      try converter.evaluateOnce(side: side)
      let during = memoryPoolByteCount
      trimMemoryPool()
      // What stays are weights packed for regions of this shape; another shape may need its own.
      packed += max(0, memoryPoolByteCount - before)
      largest = max(largest, Double(during - memoryPoolByteCount) / Double(side * side))
    }
    // In large units, so that the same command comes to the same plan.
    let held = peakMemory + packed + Self.beside
    base = (held + Self.unit - 1) / Self.unit * Self.unit
    perRegionPixel = largest * Self.allowance
  }

  private static let unit = 32 << 20

  /// A picture on its way through a chain.
  struct Load: Sendable {
    var input: (width: Int, height: Int)
    var bands: Int, depth: Int
    var isDecodedInRows: Bool
    /// Whether one adapter converts it region by region.
    var canBeInRows: Bool
    /// Pictures that are brought, of one size.
    var pictures: Int
    var format: PictureFormat?
    /// Result, regions, steps, halo and cached features of each stage.
    var stages: [Stage]
    /// Pictures like this that share an evaluation, and those that have the room of one job.
    var together = 1, shared = 1

    struct Stage: Sendable {
      var output: (width: Int, height: Int)
      var cut: RegionPlan
      var steps: Int
      /// Whether each step keeps what the one before said.
      var looksBack = false
      var halo: Int
      var features: Int
    }

    var outputPixels: Int { stages.last.map { $0.output.width * $0.output.height } ?? 0 }
    fileprivate var inputPixels: Int { input.width * input.height }
    /// Bytes of a pixel as the codecs see it.
    fileprivate var stored: Int { bands * depth / 8 }
    /// Bytes of a pixel in floating point.
    fileprivate var floating: Int { bands * 4 }
  }

  /// What the picture takes while it is in the network, with those that share it.
  func inNetwork(_ load: Load, inRows: Bool) -> Int {
    var worst = 0.0
    var size = load.input
    for stage in load.stages {
      var bytes = activations(stage)
      bytes += Double(Self.windows(stage)) * Self.allowance
      // What goes in and what comes out, where it is there as a whole.
      if !inRows {
        bytes += Double(
          (load.pictures * size.width * size.height + stage.output.width * stage.output.height) * load.floating)
      }
      bytes = bytes * Double(load.together) + Double(stage.features)
      worst = max(worst, bytes)
      size = stage.output
    }
    if inRows {
      if load.bands == 4 { worst += Double(4 * load.inputPixels) }
      if !load.isDecodedInRows { worst += Double(Self.decoder * load.inputPixels) }
      worst +=
        Double(encoder(load)) + Double(3 * Converter.bandHeight * (load.stages.last?.output.width ?? 0) * load.stored)
    }
    return Int(worst)
  }

  /// What the network keeps for the next picture while this one is encoded.
  func kept(_ load: Load) -> Int { load.together * Int(load.stages.map(activations).max() ?? 0) }

  private func activations(_ stage: Load.Stage) -> Double {
    perRegionPixel * Double(stage.cut.regionWidth * stage.cut.regionHeight)
  }

  /// What the pictures in the room of one job take while they are decoded, wait for the network, or are encoded.
  func outside(_ load: Load) -> Int {
    let decoding =
      load.pictures * load.inputPixels
      * (load.floating + load.stored + (load.isDecodedInRows ? 0 : Self.decoder))
    let encoding = load.outputPixels * (load.floating + 2 * load.stored) + encoder(load)
    return load.shared * max(decoding, encoding)
  }

  /// What a codec holds of a picture that it cannot work off row by row, bytes a pixel: the most of JPEG's coefficients,
  /// WebP and AVIF as measured with libvips 8.14, rounded up.
  private static let decoder = 16
  private func encoder(_ load: Load) -> Int {
    switch load.format {
    case .png, .tiff, nil: 0
    case .jpeg: load.outputPixels < 1 << 24 ? 7 * load.outputPixels : 0
    case .webp: 16 * load.outputPixels
    case .avif: 32 * load.outputPixels
    }
  }

  /// Rows of float32 RGB that the cascade and the plugin's side hold.
  static func windows(_ stage: Load.Stage) -> Int {
    let (region, height) = (stage.cut.regionHeight, stage.cut.height)
    let strip = StepCascade.stripHeight
    let condition = min(height, region + Converter.bandHeight + region)
    let rows = min(height, region + max(strip, Converter.bandHeight))
    let step = rows * (stage.looksBack ? 2 : 1) + min(height, region) + 4 * strip
    let call = ResultRows.callHeight + strip + 2 * stage.halo
    return 3 * 4 * stage.cut.width * (condition + stage.steps * step + 4 * min(height, call) + 3 * strip)
  }
}

/// The most this process has held so far, in bytes. Not by `getrusage`, whose figure begins with that of the process that
/// started this one.
package var peakMemory: Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
}
