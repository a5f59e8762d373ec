public import Tensor

/// What an encoder says about a picture: the skips, finest first (``UNetConfiguration/skipWidths``), and the middle.
public struct Features: Sendable {
  public var skips: [Tensor]
  public var middle: Tensor
  /// What an adapter says at each skip, and with which `μ` the decoder blends it in; empty for a core alone.
  var steering: [(features: Tensor, mu: Parameter)] = []

  /// Skips in order, then the middle.
  public var all: [Tensor] { skips + [middle] }
}

/// The left half of a U-Net with its middle: `[B, H/f, W/f, I]` to ``Features``.
struct Encoder: Sendable {
  let input: Convolution
  let levels: [Level]
  let middle: [Block]
  /// Whether the first convolution and those between levels are skips too.
  let skipsEverything: Bool

  struct Level: Sendable {
    let blocks: [Block]
    /// To the next level; `nil` at the coarsest.
    let down: Convolution?
  }

  init(_ make: ParameterFactory, _ c: UNetConfiguration, inputChannels: Int) {
    input = Convolution(make, "input", inputChannels, c.channels[0])
    skipsEverything = c.grouped != nil
    levels = c.channels.indices.map { level in
      make.scope("down.\(level)") {
        let width = c.channels[level]
        let blocks = (0..<c.blocks[level]).map { block in
          let i = block == 0 ? c.channels[max(0, level - 1)] : width
          return Block(
            make, "block.\(block)", i, width, c, attention: ("attention.\(block)", c.grouped?.heads[level] ?? 0))
        }
        let isLast = level == c.channels.count - 1
        return Level(blocks: blocks, down: isLast ? nil : Convolution(make, "down", width, width, stride: 2))
      }
    }
    middle = (0..<c.middle).map { block in
      let width = c.channels[c.channels.count - 1]
      let heads = block < c.middle - 1 ? c.grouped?.middleHeads ?? 0 : 0
      return Block(make, "middle.\(block)", width, width, c, attention: ("middle.attention.\(block)", heads))
    }
  }

  func callAsFunction(_ x: Tensor, _ time: Tensor, context: Tensor? = nil) throws(TensorError) -> Features {
    var h = try input(x)
    var skips: [Tensor] = skipsEverything ? [h] : []
    for level in levels {
      for block in level.blocks {
        h = try block(h, time, context)
        skips.append(h)
      }
      if let down = level.down {
        h = try down(h)
        if skipsEverything { skips.append(h) }
      }
    }
    for block in middle { h = try block(h, time, context) }
    return Features(skips: skips, middle: h)
  }
}
