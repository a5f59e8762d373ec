internal import Adapters
internal import Bundles
internal import Foundation
internal import Imaging
internal import Networks

extension Job {
  /// Refuses a picture of which this machine cannot even hold the rows that are in work at a time: what is held grows with
  /// the width, which a header may say as it likes, and memory that cannot be had ends the program.
  func checkRows(_ item: JobItem, _ settings: Chain.Settings) throws {
    guard chain.canConvertInRows, let stage = chain.stages.first else { return }
    let header = try probe(item.input)
    let output = (width: header.width * stage.scale, height: header.height * stage.scale)
    let cut = RegionPlan(
      width: output.width, height: output.height, granularity: stage.adapter.core.network.configuration.granularity,
      region: chain.options.region, overlap: chain.options.overlap)
    let bytes = MemoryModel.windows(
      .init(
        output: output, cut: cut, steps: settings.steps[0], halo: stage.adapter.manifest.geometry?.halo ?? 0,
        features: 0
      ))
    let most = ProcessInfo.processInfo.physicalMemory
    guard UInt64(clamping: bytes) > most else { return }
    throw ConversionError(
      .memory, at: item.input,
      "The rows in work at a time of a picture that is \(header.width) pixels wide take \(bytes >> 20) MiB; this machine "
        + "has \(most >> 20) MiB.",
      remedy: "Cut the picture into narrower ones, or turn it.")
  }

  /// Pixels of the largest result that is held as a whole, as of the largest input.
  private static let largestResult = 500_000_000

  /// Refuses a picture whose way through a chain would take more memory than there is: a chain holds whole pictures, and
  /// memory that cannot be had ends the program.
  func checkChainResult(_ item: JobItem) throws {
    guard chain.stages.count > 1 else { return }
    let header = try probe(item.input)
    // From a whole picture on, sizes are the core's own.
    guard !chain.stages.contains(where: \.adapter.manifest.isWhole) else { return }
    let scale = chain.stages.reduce(1) { $0 * $1.scale }
    let (width, height) = (
      header.width.multipliedReportingOverflow(by: scale), header.height.multipliedReportingOverflow(by: scale)
    )
    let pixels = width.partialValue.multipliedReportingOverflow(by: height.partialValue)
    guard width.overflow || height.overflow || pixels.overflow || pixels.partialValue > Self.largestResult else {
      return
    }
    throw ConversionError(
      .unsupported, at: item.input,
      "The chain would make \(header.width) × \(header.height) pixels \(scale) times as wide and high, more than the "
        + "\(Self.largestResult) pixels that a chain may hold.",
      remedy: "Reduce the picture, or convert with one adapter at a time: that works row by row.")
  }
}
