internal import Imaging

extension Job {
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
