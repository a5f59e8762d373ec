import Diffusion
import Tensor
import Testing

@Suite("Noise levels") @Compute struct ScheduleTests {
  @Test("every schedule is exact at both ends, with no signal left at time 1", arguments: Schedule.allCases)
  func ends(schedule: Schedule) {
    let (clean, noise) = (schedule.level(at: 0), schedule.level(at: 1))
    #expect(clean.alpha == 1 && clean.sigma == 0 && clean.signalToNoise == .infinity && clean.angle == 0)
    #expect(noise.alpha == 0 && noise.sigma == 1 && noise.signalToNoise == 0 && noise.angle == .pi / 2)
    #expect(schedule.level(at: -1).sigma == 0 && schedule.level(at: 2).alpha == 0)
  }

  @Test("noise grows with time and α² + σ² = 1", arguments: Schedule.allCases)
  func monotone(schedule: Schedule) {
    let levels = (0...1000).map { schedule.level(at: Double($0) / 1000) }
    #expect(
      zip(levels, levels.dropFirst()).allSatisfy { $0.sigma < $1.sigma && $0.alpha > $1.alpha && $0.angle < $1.angle })
    #expect(levels.allSatisfy { abs($0.alpha * $0.alpha + $0.sigma * $0.sigma - 1) < 2e-7 })
  }

  @Test("a level's time comes back from its angle", arguments: Schedule.allCases)
  func angles(schedule: Schedule) {
    for time in [0, 0.001, 0.3, 0.999, 1] {
      #expect(abs(schedule.time(angle: schedule.level(at: time).angle) - time) < 1e-6)
    }
  }

  @Test("the cosine-angle schedule is uniform in the angle")
  func cosineAngle() {
    for time in [0.1, 1.0 / 3, 0.55, 0.999] { #expect(abs(level(time).angle - time * .pi / 2) < 1e-6) }
  }

  @Test("a sampler's levels go from its start to clean in equal times", arguments: [1, 2, 4, 7], [1, 0.55])
  func levels(steps: Int, start: Double) {
    let levels = Schedule.cosineAngle.levels(steps: steps, from: start)
    #expect(levels.count == steps + 1)
    #expect(levels.first == level(start) && levels.last == level(0))
    for (t, s) in zip(levels, levels.dropFirst()) { #expect(abs(t.time - s.time - start / Double(steps)) < 1e-12) }
  }

  @Test("the forward process mixes signal and noise, each sample at its own level")
  func forward() throws {
    let (x, noise) = (normal(0), normal(1))
    let z = try diffuse(x, noise: noise, to: [level(0), level(1)])
    #expect(z.sample(0).floats() == x.sample(0).floats())
    #expect(z.sample(1).floats() == noise.sample(1).floats())
  }
}
