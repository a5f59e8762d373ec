import Adapters
import Diffusion
import Foundation
import Networks
import Tensor
import Testing

@Suite("Adapters that come and go") @Compute struct SwapTests {
  /// Bytes of this process in memory.
  private var resident: Int {
    let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (statm.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
  }

  @Test("a thousand swaps leave memory as it was, and the core")
  func swaps() throws {
    let core = try randomCore()
    let (z, level) = (pictures(0), [Schedule.cosineAngle.level(at: 0.5)])
    let before = try core(z, level, precision: .f32).floats()
    var configuration = ConditionEncoderConfiguration()
    configuration.sees = .conditionAndNoisy
    let templates = [UInt64(1), 2].map { ConditionEncoder(configuration, core: core.configuration, seed: $0) }
    for (i, template) in templates.enumerated() { try scatter(template.parameters, seed: UInt64(i)) }
    var (pool, held) = (0, 0)
    for swap in 0..<1000 {
      let encoder = ConditionEncoder(configuration, core: core.configuration, seed: nil)
      for (mine, theirs) in zip(encoder.parameters, templates[swap % 2].parameters) {
        try mine.assign(theirs.value.copied())
        mine.isTrainable = false
      }
      _ = try ConditionalDenoiser(core: core, encoder: encoder, precision: .f32)(z, z, level)
      if swap == 100 { (pool, held) = (memoryPoolByteCount, resident) }
    }
    // An adapter is a hundred kilobytes: if each left a tenth of itself behind, nine megabytes would be seen.
    #expect(memoryPoolByteCount - pool < 1 << 20)
    #expect(resident - held < 8 << 20)
    #expect(try core(z, level, precision: .f32).floats() == before)
  }
}
