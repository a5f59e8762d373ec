import Diffusion
import Tensor
import Testing

@Suite("What a network's output means") @Compute struct ParameterisationTests {
  @Test("signal, noise and velocity come back from every parameterisation", arguments: Parameterisation.allCases)
  func roundTrip(parameterisation: Parameterisation) throws {
    let (x, noise, t) = (normal(0), normal(1), [level(0.2), level(0.8)])
    let z = try diffuse(x, noise: noise, to: t)
    let out = try parameterisation.target(signal: x, noise: noise, t)
    #expect(try parameterisation.signal(from: out, at: z, t).largestDifference(from: x) < 1e-5)
    #expect(try parameterisation.noise(from: out, at: z, t).largestDifference(from: noise) < 1e-5)
    let velocity = try Parameterisation.v.target(signal: x, noise: noise, t)
    #expect(try parameterisation.velocity(from: out, at: z, t).largestDifference(from: velocity) < 1e-5)
  }

  @Test("velocity is the derivative of z by the angle")
  func velocity() throws {
    let (x, noise, t, h) = (normal(0), normal(1), 0.4, 1e-3)
    let (up, down) = (level(t + h), level(t - h))
    let (zUp, zDown) = (try diffuse(x, noise: noise, to: [up]), try diffuse(x, noise: noise, to: [down]))
    let slope = try (zUp - zDown).scaled(1 / Float(up.angle - down.angle))
    let v = try Parameterisation.v.target(signal: x, noise: noise, [level(t)])
    #expect(slope.largestDifference(from: v) < 1e-3)
  }

  @Test("v says everything at both ends")
  func ends() throws {
    let (x, noise, t) = (normal(0), normal(1), [level(0), level(1)])
    let z = try diffuse(x, noise: noise, to: t)
    let out = try Parameterisation.v.target(signal: x, noise: noise, t)
    #expect(try Parameterisation.v.signal(from: out, at: z, t).floats() == x.floats())
    #expect(try Parameterisation.v.noise(from: out, at: z, t).floats() == noise.floats())
  }

  @Test("what cannot be known is refused: ε at zero signal, x at zero noise")
  func refusals() throws {
    let (z, noise, clean) = (normal(0), [level(0.5), level(1)], [level(0)])
    func refuses(_ remark: Comment, _ body: () throws -> Tensor) {
      let error = #expect(throws: TensorError.self, remark) { try body() }
      #expect(error?.code == .range, remark)
    }
    refuses("ε signal") { try Parameterisation.epsilon.signal(from: z, at: z, noise) }
    refuses("ε velocity") { try Parameterisation.epsilon.velocity(from: z, at: z, noise) }
    refuses("x noise") { try Parameterisation.x.noise(from: z, at: z, clean) }
    refuses("x velocity") { try Parameterisation.x.velocity(from: z, at: z, clean) }
    refuses("a sampler that starts from pure noise") {
      try Sampler(parameterisation: .epsilon, steps: 4).sample(noise: z) { z, _ in z }
    }
  }

  @Test("with DDIM's z_s, consistency in noise is SNR(s) times consistency in signal")
  func consistencySpaces() throws {
    let (t, s) = ([level(0.7)], [level(0.5)])
    let (z, v) = (normal(0), normal(1))
    let (x, e) = (try Parameterisation.v.signal(from: v, at: z, t), try Parameterisation.v.noise(from: v, at: z, t))
    let zs = try Predictor.ddim.step(signal: x, predicted: e, noise: z, to: s)
    let vs = normal(2)
    let dx = try Parameterisation.v.signal(from: vs, at: zs, s) - x
    let de = try Parameterisation.v.noise(from: vs, at: zs, s) - e
    #expect(abs(de.squaredNorm / dx.squaredNorm / s[0].signalToNoise - 1) < 1e-4)
  }
}
