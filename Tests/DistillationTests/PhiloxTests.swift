import Distillation
import Testing

@Suite struct PhiloxTests {
  @Test("Philox4x32-10 gives its authors' known answers (Random123, kat_vectors)")
  func knownAnswers() {
    let answers: [(SIMD4<UInt32>, SIMD2<UInt32>, SIMD4<UInt32>)] = [
      (.zero, .zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      (
        .init(repeating: .max), .init(repeating: .max), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
      ),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    for (counter, key, expected) in answers { #expect(Philox.block(counter, key: key) == expected) }
  }

  @Test("streams of other seeds, steps and samples differ, and numbers fill their range evenly")
  func streams() {
    var first = Set<UInt32>()
    for seed in [1, 2, 1 << 32] as [UInt64] {
      for step in [0, 1, 1 << 33] {
        for sample in [0, 1] {
          var random = Philox(seed: seed, step: step, sample: sample)
          first.insert(random.next())
        }
      }
    }
    #expect(first.count == 18)
    var random = Philox(seed: 3, step: 0, sample: 0)
    var counts = [Int](repeating: 0, count: 7)
    var sum = 0.0
    for _ in 0..<70_000 {
      counts[random.index(7)] += 1
      let x = random.uniform()
      #expect(x >= 0 && x < 1)
      sum += Double(x)
    }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
    #expect(abs(sum / 70_000 - 0.5) < 0.005)
  }
}
