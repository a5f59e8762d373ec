public import Diffusion

/// The shape of a U-Net and what its output means: a core manifest's `network:` section.
public struct UNetConfiguration: Codable, Hashable, Sendable {
  /// Channels of a picture.
  public var pictureChannels = 3
  /// Each `fold × fold` pixels become channels of one position.
  public var fold = 2
  /// Width of each level, finest first; each level halves the size.
  public var channels = [64, 128, 176]
  /// Residual blocks of each level, in the encoder and in the decoder.
  public var blocks = [1, 2, 2]
  /// Residual blocks in the middle.
  public var middle = 1
  /// Width of the time embedding.
  public var embedding = 128
  public var parameterisation = Parameterisation.v
  public var schedule = Schedule.cosineAngle
  /// Side of the pictures it was trained on, in pixels.
  public var nativeSize = 64

  public init() {}

  /// Heights and widths must be multiples of this.
  public var granularity: Int { fold << max(0, channels.count - 1) }

  /// Numbers in its weights file, known without making the network. Every factor is bounded by ``problem``, so that this
  /// does not overflow for a configuration that has none.
  public var parameterCount: Int {
    func dense(_ i: Int, _ o: Int, kernel: Int = 1) -> Int { i * o * kernel * kernel + o }
    func block(_ i: Int, _ o: Int) -> Int {
      i + o + dense(i, o, kernel: 3) + dense(o, o, kernel: 3) + dense(embedding, 2 * o) + (i == o ? 0 : dense(i, o))
    }
    let picture = pictureChannels * fold * fold
    guard let (finest, coarsest) = channels.first.flatMap({ first in channels.last.map { (first, $0) } }) else {
      return 0
    }
    var count = 2 * dense(embedding, embedding) + dense(picture, finest, kernel: 3)
    for (level, (width, blocks)) in zip(channels, blocks).enumerated() {
      count += block(level > 0 ? channels[level - 1] : width, width) + (blocks - 1) * block(width, width)
      count += blocks * block(2 * width, width)
      if level > 0 {
        count += dense(channels[level - 1], channels[level - 1], kernel: 3) + dense(width, channels[level - 1])
      }
    }
    return count + middle * block(coarsest, coarsest) + finest + dense(finest, picture, kernel: 3)
  }

  /// What is wrong with it, in a sentence; `nil` when a network can be made.
  public var problem: String? {
    if channels.count > 8 { return "channels must list at most 8 levels, found \(channels.count)" }
    if channels.isEmpty || channels.contains(where: { $0 < 1 || $0 > 2048 }) {
      return "channels must list one width from 1 to 2048 for each level, found \(channels)"
    }
    if blocks.count != channels.count || blocks.contains(where: { $0 < 1 || $0 > 16 }) {
      return "blocks must list 1 to 16 for each of the \(channels.count) levels, found \(blocks)"
    }
    if !(0...16).contains(middle) { return "middle must be 0 to 16, found \(middle)" }
    if !(1...8).contains(fold) { return "fold must be 1 to 8, found \(fold)" }
    if !(1...16).contains(pictureChannels) { return "picture-channels must be 1 to 16, found \(pictureChannels)" }
    if embedding < 2 || embedding > 4096 || embedding % 2 != 0 {
      return "embedding must be even, from 2 to 4096, found \(embedding)"
    }
    if nativeSize < granularity || nativeSize % granularity != 0 || nativeSize > 4096 {
      return "native-size must be a multiple of \(granularity) up to 4096, found \(nativeSize)"
    }
    return nil
  }
}
