internal import Adapters
internal import Bundles
internal import Imaging
internal import Networks
internal import Registry

extension Manifest.Condition.Input.Kind {
  /// A picture's pixels as a plugin sees an input of this kind: `[…, channels]` in 0…1.
  ///
  /// A grey picture gives its own values, a coloured one its luma. What is transparent is paper under a drawing, and
  /// nothing marked, or far away, in a mask or a depth; a photograph's alpha goes its own way.
  /// - Parameters:
  ///   - pixels: RGB.
  ///   - alpha: straight, where the picture has it.
  func values(_ pixels: [Float], alpha: [Float]?) -> [Float] {
    guard self != .rgb else { return pixels }
    let ground: Float = self == .gray ? 1 : 0
    return (0..<pixels.count / 3).map { i in
      let (red, green, blue) = (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2])
      let value = red == green && green == blue ? red : 0.299 * red + 0.587 * green + 0.114 * blue
      return alpha.map { value * $0[i] + ground * (1 - $0[i]) } ?? value
    }
  }

  /// How such values are made fewer: what has hard borders must not swing beyond them.
  private var kernel: ResamplingKernel {
    switch self {
    case .rgb, .gray: .bicubic
    case .mask, .depth: .bilinear
    }
  }

  /// The middle square of a picture of these values, resampled to `side` pixels.
  func middleSquare(_ values: [Float], width: Int, height: Int, side: Int) -> [Float] {
    let square = min(width, height)
    let (left, top) = ((width - square) / 2, (height - square) / 2)
    var cut: [Float] = []
    cut.reserveCapacity(square * square * channels)
    for row in top..<top + square {
      let start = (row * width + left) * channels
      cut += values[start..<start + square * channels]
    }
    return kernel.resampled(cut, width: square, height: square, channels: channels, to: (side, side))
      .map { min(1, max(0, $0)) }
  }
}

extension Converter {
  /// What the adapter takes, in the manifest's order: the picture that is converted, and what the user says beside it.
  var inputs: [Manifest.Condition.Input] { adapter.manifest.condition?.inputs ?? [] }

  /// Whether a picture is reduced to the core's own size instead of being converted region by region.
  var isWhole: Bool { adapter.manifest.isWhole }

  /// Side of the square that a picture is reduced to in `whole` mode.
  var wholeSide: Int {
    max(1, adapter.core.network.configuration.nativeSize / max(1, adapter.manifest.geometry?.scale ?? 1))
  }

  /// Size of the result for a picture of this size.
  func outputSize(width: Int, height: Int) throws -> (width: Int, height: Int) {
    isWhole
      ? try plugin.outputSize(width: wholeSide, height: wholeSide) : try plugin.outputSize(width: width, height: height)
  }

  /// Size of what the plugin is given of a picture.
  func inputSize(of picture: Picture) -> (width: Int, height: Int) {
    isWhole ? (wholeSide, wholeSide) : (picture.width, picture.height)
  }

  /// What the plugin is given of a picture, `[height, width, channels]` in 0…1.
  func values(_ input: Manifest.Condition.Input, of picture: Picture) -> [Float] {
    let values = input.kind.values(picture.pixels, alpha: picture.alpha)
    guard isWhole else { return values }
    return input.kind.middleSquare(values, width: picture.width, height: picture.height, side: wholeSide)
  }

  /// - Throws: `ConversionError` for a picture that is missing or too many, or not of the first one's size.
  func check(_ sizes: [(width: Int, height: Int)]) throws(ConversionError) {
    let location = "\(adapter.manifest.name)@\(adapter.manifest.version)"
    guard sizes.count == inputs.count else {
      throw ConversionError(
        .options, at: location,
        "It takes \(inputs.map(\.name).joined(separator: ", ")); \(sizes.count) of them were given.",
        remedy: "Write --input NAME=FILE for each but the first.")
    }
    for (input, size) in zip(inputs, sizes) where size != sizes[0] {
      throw ConversionError(
        .options, at: location,
        "\(input.name) has \(size.width) x \(size.height) pixels, \(inputs[0].name) has "
          + "\(sizes[0].width) x \(sizes[0].height).",
        remedy: "Bring pictures of one size.")
    }
  }
}

extension Manifest {
  /// Whether pictures are reduced to the core's own size.
  var isWhole: Bool { geometry?.mode == .whole }
}
