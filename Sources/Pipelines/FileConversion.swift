internal import Bundles
internal import Foundation
public import Imaging
internal import Registry
internal import Tensor

extension Converter {
  /// Converts one file into another from top to bottom: neither picture is ever in memory as a whole, save for formats and
  /// orientations that cannot be decoded or encoded in rows (`PictureReader`, `PictureWriter`).
  ///
  /// The result has the bytes that reading, converting and writing the whole picture gives.
  /// - Parameters:
  ///   - others: files of what else the adapter takes, in the manifest's order.
  ///   - digest: SHA-256 of the source file's bytes.
  ///   - output: its extension names the format.
  ///   - metadata: the result's from the source's.
  /// - Returns: the result, which still has to be published, and its size.
  @Compute public func convert(
    file source: String, with others: [String] = [], digest: [UInt8], to output: String,
    maximumPixels: Int = 500_000_000,
    metadata: (Picture.Metadata) -> Picture.Metadata = { $0 }, progress: (Int, Int) -> Void = { _, _ in },
    shouldStop: () -> Bool = { false }
  ) throws -> (file: StagedFile, width: Int, height: Int) {
    precondition(!isWhole, "a picture that is reduced is read as a whole")
    let reader = try PictureReader(source, maximumPixels: maximumPixels)
    let readers = [reader] + (try others.map { try PictureReader($0, maximumPixels: maximumPixels) })
    try check(readers.map { ($0.width, $0.height) })
    let carries = inputs.first?.kind == .rgb
    let size = try plugin.outputSize(width: reader.width, height: reader.height)
    let writer = try PictureWriter(
      output,
      .init(
        width: size.width, height: size.height, hasAlpha: carries && reader.hasAlpha,
        bitDepth: carries ? reader.bitDepth : .eight, iccProfile: carries ? reader.iccProfile : nil,
        metadata: metadata(reader.metadata)))
    // One number a pixel of the smaller picture: kept as a whole.
    var alpha: [Float] = []
    var written = 0
    try convert(
      width: reader.width, height: reader.height, digest: digest, progress: progress, shouldStop: shouldStop,
      read: { count in
        try zip(inputs, readers).enumerated().map { index, input in
          let rows = try input.1.read(count)
          if index == 0, carries { alpha += rows.alpha ?? [] }
          return input.0.kind.values(rows.pixels, alpha: rows.alpha)
        }
      },
      write: { pixels in
        let rows = written..<(written + pixels.count / (3 * size.width))
        written = rows.upperBound
        guard carries, reader.hasAlpha else { return try writer.write(pixels) }
        try writer.write(
          pixels,
          alpha: ResamplingKernel.bicubic.resampled(
            alpha, width: reader.width, height: reader.height, channels: 1, to: size, rows: rows
          ).map { min(1, max(0, $0)) })
      })
    guard let file = try writer.stage() else { preconditionFailure("a writer with a path has a file") }
    return (file, size.width, size.height)
  }
}
