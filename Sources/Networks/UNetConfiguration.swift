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

  /// Set for the other family of U-Nets that this type expresses; see ``Grouped``.
  public var grouped: Grouped?

  /// The U-Net of arXiv:2006.11239v2 as later models built it, Stable Diffusion 1.5's (arXiv:2112.10752v2) among them: group
  /// norms over the whole picture, time added before the second norm, attention, a skip from every layer of the encoder.
  /// One more block a level in the decoder than in the encoder.
  public struct Grouped: Codable, Hashable, Sendable {
    public var groups = 32
    /// Attention heads of each level, finest first; 0 where a level has no attention.
    public var heads: [Int] = []
    /// Attention heads in the middle, after all of its blocks but the last; 0 for none.
    public var middleHeads = 0
    /// Width of a context's tokens: attention then sits in transformer blocks that also look at the context. 0: there is no
    /// context, and attention is to the picture alone.
    public var context = 0

    public init() {}
  }

  public init() {}

  /// Width of each skip from the encoder to the decoder, in the encoder's order.
  public var skipWidths: [Int] {
    guard grouped != nil else { return zip(channels, blocks).flatMap { Array(repeating: $0, count: $1) } }
    return [channels[0]]
      + channels.indices.flatMap { level in
        Array(repeating: channels[level], count: blocks[level] + (level < channels.count - 1 ? 1 : 0))
      }
  }

  /// Heights and widths must be multiples of this.
  public var granularity: Int { fold << max(0, channels.count - 1) }

  /// Numbers in its weights file, known without making the network. Every factor is bounded by ``problem``, so that this
  /// does not overflow for a configuration that has none.
  public var parameterCount: Int {
    if let grouped { return parameterCount(grouped) }
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

  private func parameterCount(_ g: Grouped) -> Int {
    func dense(_ i: Int, _ o: Int, kernel: Int = 1) -> Int { i * o * kernel * kernel + o }
    func block(_ i: Int, _ o: Int) -> Int {
      2 * i + 2 * o + dense(i, o, kernel: 3) + dense(o, o, kernel: 3) + dense(embedding, o) + (i == o ? 0 : dense(i, o))
    }
    func attention(_ c: Int, _ heads: Int) -> Int {
      if heads == 0 { return 0 }
      if g.context == 0 { return 2 * c + dense(c, 3 * c) + dense(c, c) }
      let products =
        3 * c * c + dense(c, c) + c * c + 2 * c * g.context + dense(c, c) + dense(c, 8 * c) + dense(4 * c, c)
      return 2 * c + 2 * dense(c, c) + 6 * c + products
    }
    let picture = pictureChannels * fold * fold
    var skips = skipWidths
    var (count, width) = (dense(channels[0], embedding) + dense(embedding, embedding), channels[0])
    count += dense(picture, width, kernel: 3)
    for (level, c) in channels.enumerated() {
      for _ in 0..<blocks[level] {
        count += block(width, c) + attention(c, g.heads[level])
        width = c
      }
      if level < channels.count - 1 { count += dense(c, c, kernel: 3) }
    }
    count += middle * block(width, width) + max(0, middle - 1) * attention(width, g.middleHeads)
    for (level, c) in channels.enumerated().reversed() {
      for _ in 0...blocks[level] {
        count += block(width + skips.removeLast(), c) + attention(c, g.heads[level])
        width = c
      }
      if level > 0 { count += dense(c, c, kernel: 3) }
    }
    return count + 2 * width + dense(width, picture, kernel: 3)
  }

  private func problem(_ g: Grouped) -> String? {
    if g.heads.count != channels.count || g.heads.contains(where: { !(0...64).contains($0) }) {
      return "grouped heads must list 0 to 64 for each of the \(channels.count) levels, found \(g.heads)"
    }
    if !(0...64).contains(g.middleHeads) { return "grouped middle-heads must be 0 to 64, found \(g.middleHeads)" }
    if !(0...8192).contains(g.context) { return "grouped context must be 0 to 8192, found \(g.context)" }
    // Widths that are concatenated are sums of these, so they divide too.
    for (width, heads) in zip(channels + [channels[channels.count - 1]], g.heads + [g.middleHeads]) {
      if g.groups < 1 || width % g.groups != 0 { return "\(width) channels cannot be cut into \(g.groups) groups" }
      if heads > 0, width % heads != 0 { return "\(width) channels cannot be cut into \(heads) heads" }
    }
    return nil
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
    return grouped.flatMap(problem)
  }
}
