import Foundation
import Imaging
import Pipelines
import Registry
import Tensor

extension Bench {
  /// Converts a photograph, and a flat, an even and a noisy picture of its size, in several regions and in one, and compares
  /// the steps at the regions' borders with those beside them and with those of the result in one piece. Large photographs
  /// are cut to 384 × 320.
  func measureSeams(_ path: String, _ dtype: DType) async throws {
    let photo = Bitmap(try readPicture(path))
    let (width, height) = (min(photo.width, 384), min(photo.height, 320))
    let area = photo.cropped(
      x: (photo.width - width) / 2, y: (photo.height - height) / 2, width: width, height: height)
    let noise = NoiseStream(key: 4).normal(draw: 0, height: height, width: width, channels: 3).floats()
    func picture(_ value: (Int) -> Float) -> Picture {
      Picture(width: width, height: height, pixels: (0..<(width * height * 3)).map { min(1, max(0, value($0))) })
    }
    let pictures: [(name: String, picture: Picture)] = [
      ("flat", picture { [0.6, 0.4, 0.3][$0 % 3] }),
      ("gradient", picture { (Float($0 / 3 % width) / Float(width) + Float($0 / 3 / width) / Float(height)) / 2 }),
      ("noise", picture { 0.5 + 0.2 * noise[$0] }), ("photograph", Picture(area)),
    ]
    var options = Converter.Options()
    (options.steps, options.precision) = (steps, dtype)
    let chain = try await InstalledChain([Locations.store.resolve(try Reference(adapter))]).open(options, output)
    var isSeen = false
    for (name, picture) in pictures {
      let seams = try await Compute.run { () throws in try chain.seams(of: picture) }
      output.emit(
        [
          "work": "seams", "picture": name, "steps": steps, "regions": seams.regions, "borders": seams.cut.borders,
          "one-pixel-inside": seams.cut.onePixelInside, "one-cell-inside": seams.cut.oneCellInside,
          "uncut-one-pixel-inside": seams.uncut.onePixelInside, "over-uncut": seams.overUncut,
          "difference-one-pixel-inside": seams.difference.onePixelInside,
        ],
        text: String(
          format: "seams  %@: %d regions, steps at borders over those at the same lines in one piece %.3f, one pixel "
            + "inside %.3f (in one piece %.3f), one cell inside %.3f, in the difference one pixel inside %.3f",
          name, seams.regions, seams.overUncut, seams.cut.onePixelInside, seams.uncut.onePixelInside,
          seams.cut.oneCellInside, seams.difference.onePixelInside))
      isSeen = isSeen || max(seams.overUncut, seams.difference.onePixelInside) > 1.1
    }
    // A tenth more than beside the border, or than without one.
    if isSeen { throw Exit.Code(.someFailed) }
  }
}
