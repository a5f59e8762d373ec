/// The counter-based generator Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
///
/// A stream is a pure function of (seed, step, sample), so that any sample of any step can be made alone, by any thread.
package struct Philox {
  private let key: SIMD2<UInt32>
  private var counter: SIMD4<UInt32>
  private var block = SIMD4<UInt32>()
  private var used = 4

  /// - Parameters:
  ///   - step: not negative.
  ///   - sample: not negative, below 2³².
  package init(seed: UInt64, step: Int, sample: Int) {
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    counter = SIMD4(
      0, UInt32(truncatingIfNeeded: sample), UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32))
  }

  /// Ten rounds on `counter` under `key`.
  package static func block(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let a = c.x.multipliedFullWidth(by: 0xD251_1F53)
      let b = c.z.multipliedFullWidth(by: 0xCD9E_8D57)
      c = SIMD4(b.high ^ c.y ^ k.x, b.low, a.high ^ c.w ^ k.y, a.low)
      k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return c
  }

  package mutating func next() -> UInt32 {
    if used == 4 {
      block = Philox.block(counter, key: key)
      counter.x &+= 1
      used = 0
    }
    defer { used += 1 }
    return block[used]
  }

  /// 0 ≤ x < 1, in steps of 2⁻²⁴.
  package mutating func uniform() -> Float { Float(next() >> 8) * 0x1p-24 }

  package mutating func uniform(_ low: Float, _ high: Float) -> Float { low + (high - low) * uniform() }

  /// 0..<`count`; `count` is positive and far below 2³², which makes the bias negligible.
  package mutating func index(_ count: Int) -> Int { Int((UInt64(next()) * UInt64(count)) >> 32) }

  package mutating func chance(_ probability: Float) -> Bool { uniform() < probability }
}
