internal import Registry

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
    func wide(_ low: UInt32, _ high: UInt32) -> UInt64 { UInt64(high) << 32 | UInt64(low) }
    let words = KeyedRandom.block(
      SampleKey(low: wide(key.x, key.y), high: wide(counter.z, counter.w)), wide(counter.x, counter.y))
    return SIMD4(words.0, words.1, words.2, words.3)
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
