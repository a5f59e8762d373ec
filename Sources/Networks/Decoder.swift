internal import Tensor

/// The right half of a U-Net: takes the features back, coarsest first, to `[B, H/f, W/f, O]`.
struct Decoder: Sendable {
  let levels: [Level]
  let norm: Norm
  let output: Convolution

  struct Level: Sendable {
    let blocks: [Block]
    /// Before the next finer level; `nil` at the finest.
    let up: Enlargement?
  }

  /// On the way to twice the size.
  enum Enlargement: Sendable {
    /// A 1×1 convolution to the next level's width, then each pixel four times.
    case narrowed(Convolution)
    /// Each pixel four times, then a 3×3 convolution.
    case smoothed(Convolution)

    func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
      switch self {
      case .narrowed(let convolution): try convolution(x).upsampled()
      case .smoothed(let convolution): try convolution(x.upsampled())
      }
    }
  }

  init(_ make: ParameterFactory, _ c: UNetConfiguration, outputChannels: Int) {
    var skips = c.skipWidths
    var width = c.channels[c.channels.count - 1]
    levels = c.channels.indices.reversed().map { level in
      make.scope("up.\(level)") {
        let o = c.channels[level]
        // As many blocks as the encoder left skips.
        let blocks = (0..<c.blocks[level] + (c.grouped == nil ? 0 : 1)).map { block in
          let i = width + skips.removeLast()
          width = o
          return Block(
            make, "block.\(block)", i, o, c, attention: ("attention.\(block)", c.grouped?.heads[level] ?? 0))
        }
        if level == 0 { return Level(blocks: blocks, up: nil) }
        if c.grouped != nil { return Level(blocks: blocks, up: .smoothed(Convolution(make, "up", o, o))) }
        width = c.channels[level - 1]
        return Level(blocks: blocks, up: .narrowed(Convolution(make, "up", o, width, kernel: 1)))
      }
    }
    norm = Norm(make, "norm", width, c)
    output = Convolution(make, "output", c.channels[0], outputChannels, gain: 0)
  }

  func callAsFunction(_ features: Features, _ time: Tensor, context: Tensor? = nil) throws(TensorError) -> Tensor {
    var (skips, steering) = (features.skips, features.steering)
    var h = features.middle
    for level in levels {
      for block in level.blocks {
        h = try block(h, skip: skips.removeLast(), steeredBy: steering.popLast(), time, context)
      }
      if let up = level.up { h = try up(h) }
    }
    return try output(try norm(h))
  }
}
