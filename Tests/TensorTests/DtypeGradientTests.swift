import Tensor
import Testing

/// Gradients that central differences of a float32 output cannot show.
@Suite("Gradients through a change of type, and of the loss itself") @Compute struct DtypeGradientTests {
  @Test("to bfloat16 and back: the gradient is the output's, rounded to bfloat16 on its way")
  func roundTrip() throws {
    // Exact in bfloat16, so that the values are the same on both sides and only the gradient is rounded.
    let values = (0..<64).map { Float($0 - 32) / 8 }
    let x = Parameter(name: "x", try Tensor(values, shape: [1, 64]))
    let target = random("target", [1, 64]).value
    func gradient(_ through: DType) throws -> [Float] {
      let (_, gradients) = try withGradients {
        try x.tensor.converted(to: through).converted(to: .f32).squaredError(to: target).loss
      }
      return try #require(gradients[x]).floats()
    }
    let (exact, low) = (try gradient(.f32), try gradient(.bf16))
    let rounded = try Tensor(exact, shape: [64]).converted(to: .bf16).floats()
    #expect(low == rounded)
    #expect(low != exact, "no bfloat16 gradient can be that precise")
    // And the exact one is that of the loss: 2 (x − y) / n.
    for (i, y) in target.floats().enumerated() { #expect(abs(exact[i] - 2 * (values[i] - y) / 64) < 1e-6) }
  }

  @Test("the weighted loss follows central differences in both of its arguments")
  func loss() throws {
    let (x, y) = (random("x", [3, 5]), random("y", [3, 5]))
    let weights: [Float] = [0.5, 2, 3]
    func value() throws -> Double {
      Double(try x.value.squaredError(to: y.value, weights: weights).loss.scalar)
    }
    let (_, gradients) = try withGradients { try x.tensor.squaredError(to: y.tensor, weights: weights).loss }
    for parameter in [x, y] {
      let tape = try #require(gradients[parameter]).floats()
      let (original, step) = (parameter.value, Float(0.05))
      for place in tape.indices {
        var moved = original.floats()
        moved[place] += step
        try parameter.assign(try Tensor(moved, shape: [3, 5]))
        let up = try value()
        moved[place] -= 2 * step
        try parameter.assign(try Tensor(moved, shape: [3, 5]))
        let down = try value()
        try parameter.assign(original)
        // The loss is quadratic, so the step may be large and the difference is exact but for rounding.
        let numeric = Float((up - down) / (2 * Double(step)))
        #expect(abs(numeric - tape[place]) < 1e-4, "\(parameter.name)[\(place)]: \(numeric), tape \(tape[place])")
      }
    }
  }
}
