internal import CKernels

/// Standard normal noise as a function of (key, draw, absolute pixel, channel).
///
/// Nothing is consumed: the same pixel has the same noise in any region, batch, thread count or order, and two overlapping
/// regions agree where they overlap. Philox4x32-10 (Salmon et al., SC 2011) and Box-Muller.
public struct NoiseStream: Sendable, Hashable {
  public let key: UInt64

  public init(key: UInt64) { self.key = key }

  /// A stream for one picture: mixes the user's seed with a digest of the picture (any bytes).
  public init(seed: UInt64, digest: [UInt8]) {
    key = digest.reduce(Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)) { Self.mix($0 ^ UInt64($1)) }
  }

  /// An independent stream for item `index`, for example a training step or a sample.
  public func derived(_ index: UInt64) -> NoiseStream {
    NoiseStream(key: Self.mix(key ^ Self.mix(index &+ 0xD1B5_4A32_D192_ED03)))
  }

  /// Noise for the region whose top-left pixel is `(x, y)`, `[1, height, width, channels]` float32.
  public func normal(
    draw: Int, x: Int = 0, y: Int = 0, height: Int, width: Int, channels: Int
  ) -> Tensor {
    let out = Tensor(uninitialised: [1, height, width, channels], .f32)
    fill(out.floatPointer, draw: draw, x: x, y: y, height: height, width: width, channels: channels)
    return out
  }

  /// Noise for a batch of streams, `[B, H, W, C]` float32.
  public static func normal(_ streams: [NoiseStream], draw: Int, height: Int, width: Int, channels: Int) -> Tensor {
    let out = Tensor(uninitialised: [streams.count, height, width, channels], .f32)
    let each = height * width * channels
    for (i, stream) in streams.enumerated() {
      stream.fill(out.floatPointer + i * each, draw: draw, x: 0, y: 0, height: height, width: width, channels: channels)
    }
    return out
  }

  private func fill(
    _ to: UnsafeMutablePointer<Float>, draw: Int, x: Int, y: Int, height: Int, width: Int, channels: Int
  ) {
    nonisolated(unsafe) let to = to
    parallel(height, cost: width * channels * 8) { rows in
      for row in rows {
        ck_normal_row(
          key, UInt32(truncatingIfNeeded: draw), UInt32(truncatingIfNeeded: x), UInt32(truncatingIfNeeded: y + row),
          to + row * width * channels, ck_int(width), ck_int(channels))
      }
    }
  }

  /// A uniform number in `[0, 1)`, a function of (key, index).
  public func uniform(_ index: UInt64) -> Double {
    Double(Self.mix(key ^ Self.mix(index &+ 0x8CB9_2BA7_2F3D_8DD7)) >> 11) * 0x1p-53
  }

  /// SplitMix64's finaliser: every input bit reaches every output bit.
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
