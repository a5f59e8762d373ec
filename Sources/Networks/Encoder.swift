public import Tensor

/// What an encoder says about a picture: one tensor for each block of each level, finest first, and the middle.
public struct Features: Sendable {
  public var skips: [Tensor]
  public var middle: Tensor

  /// Skips in order, then the middle.
  public var all: [Tensor] { skips + [middle] }
}

/// The left half of a U-Net with its middle: `[B, H/f, W/f, I]` to ``Features``.
struct Encoder: Sendable {
  let input: Convolution
  let levels: [Level]
  let middle: [ResidualBlock]

  struct Level: Sendable {
    let blocks: [ResidualBlock]
    /// To the next level; `nil` at the coarsest.
    let down: Convolution?
  }

  init(_ make: ParameterFactory, _ c: UNetConfiguration, inputChannels: Int) {
    input = Convolution(make, "input", inputChannels, c.channels[0])
    levels = c.channels.indices.map { level in
      make.scope("down.\(level)") {
        let width = c.channels[level]
        let blocks = (0..<c.blocks[level]).map { block in
          let i = block == 0 ? c.channels[max(0, level - 1)] : width
          return ResidualBlock(make, "block.\(block)", i, width, embedding: c.embedding)
        }
        let isLast = level == c.channels.count - 1
        return Level(blocks: blocks, down: isLast ? nil : Convolution(make, "down", width, width, stride: 2))
      }
    }
    middle = (0..<c.middle).map { block in
      let width = c.channels[c.channels.count - 1]
      return ResidualBlock(make, "middle.\(block)", width, width, embedding: c.embedding)
    }
  }

  func callAsFunction(_ x: Tensor, _ time: Tensor) throws(TensorError) -> Features {
    var h = try input(x)
    var skips: [Tensor] = []
    for level in levels {
      for block in level.blocks {
        h = try block(h, time)
        skips.append(h)
      }
      if let down = level.down { h = try down(h) }
    }
    for block in middle { h = try block(h, time) }
    return Features(skips: skips, middle: h)
  }
}

/// The right half: takes the features back, coarsest first, to `[B, H/f, W/f, O]`.
struct Decoder: Sendable {
  let levels: [Level]
  let norm: Parameter
  let output: Convolution

  struct Level: Sendable {
    let blocks: [ResidualBlock]
    /// A 1×1 convolution before enlarging to the next finer level; `nil` at the finest.
    let up: Convolution?
  }

  init(_ make: ParameterFactory, _ c: UNetConfiguration, outputChannels: Int) {
    levels = c.channels.indices.reversed().map { level in
      make.scope("up.\(level)") {
        let width = c.channels[level]
        let blocks = (0..<c.blocks[level]).map { block in
          ResidualBlock(make, "block.\(block)", 2 * width, width, embedding: c.embedding)
        }
        return Level(
          blocks: blocks, up: level == 0 ? nil : Convolution(make, "up", width, c.channels[level - 1], kernel: 1))
      }
    }
    norm = make.constant("norm", [c.channels[0]], 1)
    output = Convolution(make, "output", c.channels[0], outputChannels, gain: 0)
  }

  func callAsFunction(_ features: Features, _ time: Tensor) throws(TensorError) -> Tensor {
    var skips = features.skips
    var h = features.middle
    for level in levels {
      for block in level.blocks {
        // As many blocks as the encoder has, so a skip is always left.
        h = try block(try h.concatenated(with: skips.removeLast()), time)
      }
      if let up = level.up { h = try up(h).upsampled() }
    }
    return try output(try h.normalised(gain: norm))
  }
}
