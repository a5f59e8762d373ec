internal import Adapters
internal import Bundles
internal import Diffusion
internal import Foundation
internal import Imaging
internal import Networks
internal import Registry
internal import Tensor

/// What a job will take, from the pictures' headers and one measured region.
public struct JobEstimate: Sendable {
  public var pictures, regions: Int
  /// Wall time for all pictures.
  public var seconds: Double
  /// Peak memory of the process.
  public var bytes: Int
}

extension Job {
  /// Reads only the headers, and converts one region of the kind that the largest picture is cut into.
  ///
  /// Pictures whose header cannot be read count as nothing: they will fail at once.
  @Compute public func estimate() throws -> JobEstimate {
    var estimate = JobEstimate(pictures: plan.items.count, regions: 0, seconds: 0, bytes: 0)
    var regionPixels = 0
    var (outputPixels, largest) = (0, 0)
    var shape: (width: Int, height: Int)?
    for item in plan.items {
      guard let header = try? probe(item.input) else { continue }
      let cut = try converter.plan(width: header.width, height: header.height)
      let size = try converter.plugin.outputSize(width: header.width, height: header.height)
      estimate.regions += cut.count
      regionPixels += cut.count * cut.regionWidth * cut.regionHeight
      outputPixels += size.width * size.height
      if cut.width * cut.height > largest {
        largest = cut.width * cut.height
        shape = (cut.regionWidth, cut.regionHeight)
      }
    }
    guard let shape else { return estimate }
    let (network, rest) = try converter.rehearse(width: shape.width, height: shape.height)
    estimate.seconds = network * Double(regionPixels * converter.steps) + rest * Double(outputPixels)
    // What the rehearsal took includes the program, the weights and one region's activations.
    estimate.bytes = Self.peakMemory + largest * Self.bytesPerPixel
    return estimate
  }

  /// Float32 of three channels for each pixel of the largest picture: condition, noise, z, sum, output, two estimates and
  /// the next z; the picture before it is being encoded, and the next input waits.
  private static let bytesPerPixel = 3 * 4 * 11

  /// The most this process has held so far, in bytes.
  private static var peakMemory: Int {
    var usage = rusage()
    #if os(Linux)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss * 1024
    #else
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }
}

extension Converter {
  /// Seconds of one network evaluation for each pixel of a region of this size, and seconds of everything else for each
  /// pixel of a result.
  @Compute func rehearse(width: Int, height: Int) throws -> (network: Double, rest: Double) {
    let core = adapter.core.network.configuration
    let z = NoiseStream(key: 1).normal(draw: 0, height: height, width: width, channels: core.pictureChannels)
    let c = NoiseStream(key: 2).normal(
      draw: 0, height: height, width: width, channels: adapter.encoder.configuration.conditionChannels)
    let level = core.schedule.level(at: 0.5)
    // The first run makes the kernels ready.
    let network = try mean { _ = try denoiser(z, c, [level], prepared: try denoiser.prepare(c)) }

    let scale = adapter.manifest.geometry?.scale ?? 1
    let (w, h) = (max(1, width / scale), max(1, height / scale))
    func grain(_ width: Int, _ height: Int) -> [Float] {
      NoiseStream(key: 3).normal(draw: 0, height: height, width: width, channels: 3).floats().map { 0.5 + 0.1 * $0 }
    }
    let input = try PictureRegion(grain(w, h), width: w, height: h)
    let size = try plugin.outputSize(width: w, height: h)
    let result = try PictureRegion(grain(size.width, size.height), width: size.width, height: size.height)
    let rest = try mean {
      _ = try plugin.prepare([input], region: result.region, channels: adapter.encoder.configuration.conditionChannels)
      let made = try plugin.finish([input], result: result, region: result.region)
      _ = try encode(Picture(width: size.width, height: size.height, pixels: made.values), as: .png)
    }
    return (network / Double(width * height), rest / Double(size.width * size.height))
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
