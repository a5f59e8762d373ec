/// A key of the host's random numbers: equal keys give equal numbers on every machine.
public struct SampleKey: Sendable, Hashable {
  public let low: UInt64, high: UInt64

  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
}

/// The counter-based generator behind the plugins' random numbers: Philox4x32-10 (Salmon et al., SC 2011).
///
/// The Philox key is `key.low`; block b has the counter `(b, key.high)`, low words first.
package enum KeyedRandom {
  /// Four words of block `index`.
  package static func block(_ key: SampleKey, _ index: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
    var (c0, c1) = (UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32))
    var (c2, c3) = (UInt32(truncatingIfNeeded: key.high), UInt32(truncatingIfNeeded: key.high >> 32))
    var (k0, k1) = (UInt32(truncatingIfNeeded: key.low), UInt32(truncatingIfNeeded: key.low >> 32))
    for _ in 0..<10 {
      let first = c0.multipliedFullWidth(by: 0xD251_1F53)
      let second = c2.multipliedFullWidth(by: 0xCD9E_8D57)
      (c0, c1, c2, c3) = (second.high ^ c1 ^ k0, second.low, first.high ^ c3 ^ k1, first.low)
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return (c0, c1, c2, c3)
  }

  /// Numbers `first ..< first + out.count`, uniform in `0 ..< 1` in steps of 2⁻²⁴.
  package static func fill(_ out: UnsafeMutableBufferPointer<Float>, _ key: SampleKey, from first: UInt64) {
    words(key, from: first, count: out.count) { index, word in out[index] = Float(word >> 8) * 0x1p-24 }
  }

  /// Bytes `first ..< first + out.count` of the little-endian words.
  package static func fill(_ out: UnsafeMutableBufferPointer<UInt8>, _ key: SampleKey, from first: UInt64) {
    guard !out.isEmpty else { return }
    let skipped = Int(first % 4)
    words(key, from: first / 4, count: (skipped + out.count + 3) / 4) { index, word in
      for byte in 0..<4 where out.indices.contains(4 * index + byte - skipped) {
        out[4 * index + byte - skipped] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(byte)))
      }
    }
  }

  private static func words(_ key: SampleKey, from first: UInt64, count: Int, _ body: (Int, UInt32) -> Void) {
    var index = 0
    while index < count {
      let position = first &+ UInt64(index)
      let (a, b, c, d) = block(key, position / 4)
      var lane = position % 4
      while lane < 4 && index < count {
        body(index, lane == 0 ? a : lane == 1 ? b : lane == 2 ? c : d)
        lane += 1
        index += 1
      }
    }
  }
}
