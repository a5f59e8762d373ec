import CKernels
import Foundation
import Tensor
import Testing

@Suite("Every operation's gradient meets central differences") @Compute struct OperationGradients {
  @Test("convolution, with bias and residual", arguments: [(3, 1), (1, 1), (3, 2)])
  func convolution(kernel: Int, stride: Int) throws {
    let x = random("x", [2, 6, 4, 5])
    let w = random("w", [7, 5, kernel, kernel], scale: 0.3)
    let b = random("b", [7])
    let r = random("r", [2, 6 / stride, 4 / stride, 7])
    try checkGradients(of: [x, w, b, r]) { try x.tensor.conv2d(w, bias: b, stride: stride, adding: r.tensor) }
  }

  @Test("grouped convolution with uneven padding")
  func groupedConvolution() throws {
    let x = random("x", [1, 5, 5, 6])
    let w = random("w", [6, 1, 3, 3])
    try checkGradients(of: [x, w]) { try x.tensor.conv2d(w, stride: 2, padding: .explicit(0, 1), groups: 6) }
  }

  @Test("norm with modulation and SiLU", arguments: [true, false], [1, 2])
  func norm(activate: Bool, modulationRows: Int) throws {
    let x = random("x", [2, 3, 2, 20])
    let gain = random("gain", [20])
    let m = random("m", [modulationRows, 40], scale: 0.5)
    try checkGradients(of: [x, gain, m]) {
      try x.tensor.normalised(gain: gain, modulation: m.tensor, activate: activate)
    }
    try checkGradients(of: [x, gain]) { try x.tensor.normalised(gain: gain, activate: activate) }
  }

  @Test("SiLU") func silu() throws {
    let x = random("x", [3, 17])
    try checkGradients(of: [x]) { try x.tensor.silu() }
  }

  @Test("blend with a scalar and a per-channel μ", arguments: [1, 5])
  func blend(muCount: Int) throws {
    let h = random("h", [2, 3, 3, 5])
    let a = random("a", [2, 3, 3, 5])
    let mu = random("mu", [muCount])
    try checkGradients(of: [h, a, mu]) { try h.tensor.blended(with: a.tensor, mu: mu) }
  }

  @Test("concatenation, enlargement, folding and back, shape and dtype changes")
  func rearrangement() throws {
    let x = random("x", [2, 4, 4, 3])
    let y = random("y", [2, 4, 4, 5])
    try checkGradients(of: [x, y]) { try x.tensor.concatenated(with: y.tensor) }
    try checkGradients(of: [x]) { try x.tensor.upsampled() }
    try checkGradients(of: [x]) { try x.tensor.folded(2).scaled(2) }
    try checkGradients(of: [x]) { try x.tensor.folded(2).unfolded(2).reshaped([2, 48]) }
  }

  @Test("linear") func linear() throws {
    let x = random("x", [3, 6])
    let w = random("w", [4, 6])
    let b = random("b", [4])
    try checkGradients(of: [x, w, b]) { try x.tensor.linear(w, bias: b) }
  }

  @Test("sums with a factor for each sample, and a tensor used twice")
  func sums() throws {
    let x = random("x", [3, 4])
    let y = random("y", [3, 4])
    try checkGradients(of: [x, y]) { try Tensor.sum([0.5, 2, -1], x.tensor, [3], y.tensor) }
    try checkGradients(of: [x]) { try x.tensor.silu() + x.tensor.scaled([1, 2, 3]) }
  }

  @Test("block means, and what they are")
  func blockMeans() throws {
    let x = random("x", [2, 4, 6, 3])
    try checkGradients(of: [x]) { try x.tensor.reduced(by: 2) }
    let (values, means) = (x.value.floats(), try x.value.reduced(by: 2))
    #expect(means.shape == [2, 2, 3, 3])
    // Sample 1, row 1, column 2, channel 0: pixels (2…3, 4…5).
    let pixels: [(Int, Int)] = [(2, 4), (2, 5), (3, 4), (3, 5)]
    let mean: Float = pixels.map { row, column in values[((4 + row) * 6 + column) * 3] }.reduce(0, +) / 4
    let found: Float = means.floats()[((2 + 1) * 3 + 2) * 3]
    #expect(abs(found - mean) < 1e-6)
    #expect(throws: TensorError.self) { try x.value.reduced(by: 4) }
  }

  @Test(
    "robust errors and their gradients, both sides, against the formula in doubles",
    arguments: [ErrorMetric.pseudoHuber(width: 0.3), .pseudoHuber(width: 1e-4), .cauchy(width: 0.5)])
  func robustError(metric: ErrorMetric) throws {
    let (x, y, weights) = (random("x", [3, 4]), random("y", [3, 4]), [Float(1), 0.5, 2])
    func written(_ a: [Float], _ b: [Float]) -> Double {
      var sum = 0.0
      for i in 0..<3 {
        var m = 0.0
        for k in (i * 4)..<(i * 4 + 4) {
          let d: Double = Double(a[k]) - Double(b[k])
          m += d * d / 4
        }
        let value: Double
        switch metric {
        case .squares: value = m
        case .pseudoHuber(let width):
          let c = Double(width)
          value = (m + c * c).squareRoot() - c
        case .cauchy(let width):
          let c = Double(width)
          value = log(1 + m / (2 * c * c))
        }
        sum += Double(weights[i]) * value / 3
      }
      return sum
    }
    let (loss, gradients) = try withGradients {
      try x.tensor.squaredError(to: y.tensor, weights: weights, metric: metric).loss
    }
    let (a, b) = (x.value.floats(), y.value.floats())
    let whole = written(a, b)
    #expect(abs(Double(loss.scalar) - whole) < 1e-6 * max(1, whole))
    for (parameter, isLeft) in [(x, true), (y, false)] {
      let found = try #require(gradients[parameter]).floats()
      for place in a.indices {
        func at(_ h: Float) -> Double {
          var (a, b) = (a, b)
          if isLeft { a[place] += h } else { b[place] += h }
          return written(a, b)
        }
        let numeric: Double = (at(1e-3) - at(-1e-3)) / 2e-3
        let largest = Double(found.map(abs).max() ?? 0)
        #expect(abs(Double(found[place]) - numeric) < 2e-3 * largest)
      }
    }
    let none = try withGradients { try x.tensor.squaredError(to: x.value, metric: metric).loss }
    #expect(none.loss.scalar == 0 && none.gradients[x]?.floats().allSatisfy { $0 == 0 } == true)
  }

  @Test("weighted squared error, both sides")
  func squaredError() throws {
    let x = random("x", [2, 3])
    let y = random("y", [2, 3])
    let (loss, gradients) = try withGradients {
      try x.tensor.squaredError(to: y.tensor, weights: [1, 3]).loss
    }
    let (a, b) = (x.value.floats(), y.value.floats())
    let d = zip(a, b).map { $0 - $1 }
    let expected = (d[0..<3].map { $0 * $0 }.reduce(0, +) + 3 * d[3..<6].map { $0 * $0 }.reduce(0, +)) / 6
    #expect(abs(loss.scalar - expected) < 1e-5)
    let dx = try #require(gradients[x]).floats()
    let dy = try #require(gradients[y]).floats()
    for i in 0..<6 {
      #expect(abs(dx[i] - 2 * d[i] * (i < 3 ? 1 : 3) / 6) < 1e-5)
      #expect(dx[i] == -dy[i])
    }
  }
}

@Suite("bfloat16 follows float32") @Compute struct LowPrecision {
  @Test("convolution forward and both backward passes within 2 %", .enabled(if: hasNativeBFloat16))
  func convolution() throws {
    func run(_ dtype: DType) throws -> [[Float]] {
      let x = random("x", [2, 8, 8, 16])
      let w = random("w", [24, 16, 3, 3], scale: 0.1)
      let b = random("b", [24])
      var out: Tensor?
      let (_, gradients) = try withGradients {
        let y = try x.tensor.converted(to: dtype).conv2d(w, bias: b).converted(to: .f32)
        out = y
        return try y.squaredError(to: .zeros(y.shape)).loss
      }
      return try [#require(out).floats()] + [x, w, b].map { try #require(gradients[$0]).floats() }
    }
    for (exact, low) in zip(try run(.f32), try run(.bf16)) {
      let error = zip(exact, low).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
      let size = exact.map { $0 * $0 }.reduce(0, +)
      #expect((error / size).squareRoot() < 0.02)
      #expect(error > 0, "bf16 must really have been used")
    }
  }

  @Test("rounds to nearest, ties to even, and keeps NaN and infinities")
  func rounding() throws {
    let values: [Float] = [
      1, 1.00390625, 1.01171875, -3.14159, .infinity, -.infinity, .nan, 65280, Float(bitPattern: 71362),
    ]
    let back = try Tensor(values, shape: [values.count]).converted(to: .bf16).floats()
    #expect(back[0] == 1)
    #expect(back[1] == 1, "1 + 2⁻⁸ is half way and goes to even")
    #expect(back[2] == 1.015625, "1 + 3·2⁻⁸ is half way and goes to even")
    #expect(abs(back[3] + 3.140625) < 1e-6)
    #expect(back[4] == .infinity && back[5] == -.infinity && back[6].isNaN && back[7] == 65280)
  }
}

@Suite("The tape") @Compute struct TapeTests {
  @Test("frozen parameters get no gradient, and the rest still do")
  func frozen() throws {
    let x = random("x", [1, 4, 4, 3])
    let frozen = random("f", [3, 3, 3, 3])
    frozen.isTrainable = false
    let last = random("l", [2, 3, 3, 3])
    let (_, gradients) = try withGradients {
      let y = try x.tensor.conv2d(frozen).conv2d(last)
      return try y.squaredError(to: .zeros(y.shape)).loss
    }
    #expect(gradients[frozen] == nil)
    #expect(gradients[x] != nil && gradients[last] != nil)
  }

  @Test("nothing flows through detached tensors or withoutGradients")
  func stopGradient() throws {
    let x = random("x", [1, 4])
    let (_, gradients) = try withGradients {
      let stopped = try withoutGradients { try x.tensor.silu() }
      let sum = try x.tensor.silu().detached + stopped
      return try (sum + x.tensor).squaredError(to: .zeros([1, 4])).loss
    }
    let f = x.value.floats()
    let g = try #require(gradients[x]).floats()
    for i in 0..<4 { #expect(abs(g[i] - 2 * (2 * ckr_silu(f[i]) + f[i]) / 4) < 1e-5) }
  }

  @Test("a loss that depends on nothing trainable is an error")
  func nothingToTrain() throws {
    #expect(throws: TensorError.self) { try withGradients { Tensor.zeros([]) } }
  }
}

@Suite("Shape errors name the operation, the shapes and the remedy") @Compute struct ShapeErrors {
  @Test func everyOperation() throws {
    let a = Tensor.zeros([1, 4, 4, 3])
    let b = Tensor.zeros([1, 4, 4, 2])
    let w = random("w", [8, 5, 3, 3])
    let (fits, grouped) = (random("fits", [8, 3, 3, 3]), random("grouped", [8, 1, 3, 3]))
    let calls: [(String, [String], () throws -> Tensor)] = [
      ("conv2d", ["[1, 4, 4, 3]", "[8, 5, 3, 3]"], { try a.conv2d(w) }),
      ("conv2d", ["[3]"], { try Tensor.zeros([3]).conv2d(w) }),
      ("conv2d", ["[1, 4, 4, 3]", "stride 0"], { try a.conv2d(fits, stride: 0) }),
      ("conv2d", ["[1, 4, 4, 3]", "0 group"], { try a.conv2d(fits, groups: 0) }),
      ("conv2d", ["[1, 4, 4, 3]", "[8, 1, 3, 3]", "3 group"], { try a.conv2d(grouped, groups: 3) }),
      ("sum", ["[1, 4, 4, 3]", "[1, 4, 4, 2]"], { try a + b }),
      ("scaled", ["3 factors", "[1, 4, 4, 3]"], { try a.scaled([1, 2, 3]) }),
      ("normalised", ["[1, 4, 4, 3]", "[7]"], { try a.normalised(gain: random("g", [7])) }),
      ("blended", ["[1, 4, 4, 3]", "[1, 4, 4, 2]"], { try a.blended(with: b, mu: random("mu", [1])) }),
      ("blended", ["[2]"], { try a.blended(with: a, mu: random("mu", [2])) }),
      ("concatenated", ["[1, 4, 4, 3]", "[1, 2, 4, 3]"], { try a.concatenated(with: Tensor.zeros([1, 2, 4, 3])) }),
      ("upsampled", ["[2, 2]"], { try Tensor.zeros([2, 2]).upsampled() }),
      ("folded", ["[1, 4, 4, 3]", "3 × 3"], { try a.folded(3) }),
      ("unfolded", ["[1, 4, 4, 3]", "2 × 2"], { try a.unfolded(2) }),
      ("linear", ["[1, 4, 4, 3]", "[8, 5, 3, 3]"], { try a.linear(w, bias: w) }),
      ("reshaped", ["[1, 4, 4, 3]", "[5]"], { try a.reshaped([5]) }),
      ("squaredError", ["[1, 4, 4, 3]", "[1, 4, 4, 2]"], { try a.squaredError(to: b).loss }),
      ("sum", ["f32", "bf16"], { try a + a.converted(to: .bf16) }),
      ("Tensor", ["2 values", "[3]"], { try Tensor([1, 2], shape: [3]) }),
    ]
    for (name, words, call) in calls {
      let error = #expect(throws: TensorError.self) { _ = try call() }
      #expect(error?.operation == name)
      for word in words { #expect(error?.reason.contains(word) == true, "\(word): \(error?.reason ?? "")") }
      #expect((error?.remedy.count ?? 0) > 10)
    }
  }
}
