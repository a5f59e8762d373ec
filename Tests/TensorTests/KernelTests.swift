import CKernels
import Tensor
import Testing

private func normals(_ count: Int, _ name: String) -> [Float] {
  NoiseStream(seed: 5, digest: Array(name.utf8)).normal(draw: 0, height: 1, width: count, channels: 1).floats()
}

private func closeEnough(_ a: [Float], _ b: [Float], _ tolerance: Float) -> Bool {
  let size = b.map(abs).max() ?? 0
  return zip(a, b).allSatisfy { abs($0 - $1) <= tolerance * max(1, size) }
}

/// Kernels are compared for every instruction set this CPU has. The choice is the process's: on the compute thread nobody
/// else computes before it is taken back.
@Suite("Kernels agree with their scalar references on every instruction set") @Compute struct KernelTests {
  nonisolated static let levels: [Int32] = [0, 1, 2]

  private func at<R>(_ level: Int32, _ body: () throws -> R) rethrows -> R {
    ck_limit_isa(level)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    return try body()
  }

  @Test("norm, modulation and SiLU", arguments: levels, [1, 7, 64, 200])
  func norm(level: Int32, channels: Int) {
    let rows = 5
    let (x, g, dout) = (normals(rows * channels, "x"), normals(channels, "g"), normals(rows * channels, "d"))
    let (scale, shift) = (normals(channels, "scale"), normals(channels, "shift"))
    for activate in [Int32(0), 1] {
      var (fast, slow) = ([Float](repeating: 0, count: x.count), [Float](repeating: 0, count: x.count))
      at(level) {
        ck_norm_forward(.CK_F32, x, g, scale, shift, 1e-6, activate, &fast, ck_int(rows), ck_int(channels))
      }
      ckr_norm_forward(x, g, scale, shift, 1e-6, activate, &slow, ck_int(rows), ck_int(channels))
      #expect(closeEnough(fast, slow, 2e-6))
      var a = (
        fast, [Float](repeating: 0, count: channels), [Float](repeating: 0, count: channels),
        [Float](repeating: 0, count: channels)
      )
      var b = a
      at(level) {
        ck_norm_backward(
          .CK_F32, x, g, scale, shift, 1e-6, activate, dout, nil, &a.0, &a.1, &a.2, &a.3, ck_int(rows),
          ck_int(channels))
      }
      ckr_norm_backward(
        x, g, scale, shift, 1e-6, activate, dout, &b.0, &b.1, &b.2, &b.3, ck_int(rows), ck_int(channels))
      #expect(closeEnough(a.0, b.0, 1e-5) && closeEnough(a.1, b.1, 1e-5))
      #expect(closeEnough(a.2, b.2, 1e-5) && closeEnough(a.3, b.3, 1e-5))
    }
  }

  @Test("SiLU from −100 to 100", arguments: levels)
  func silu(level: Int32) {
    let x = (0..<2001).map { Float($0 - 1000) / 10 }
    let ones = [Float](repeating: 1, count: x.count)
    var (y, d) = (ones, ones)
    at(level) {
      ck_silu_forward(.CK_F32, x, &y, ck_int(x.count))
      ck_silu_backward(.CK_F32, x, ones, &d, ck_int(x.count))
    }
    for i in x.indices {
      #expect(abs(y[i] - ckr_silu(x[i])) <= 2e-6 * max(1, abs(x[i])))
      #expect(abs(d[i] - ckr_silu_gradient(x[i])) <= 1e-5)
    }
  }

  @Test("AdamW", arguments: levels)
  func adamw(level: Int32) {
    let n = 37
    var a = (normals(n, "w"), normals(n, "m"), normals(n, "v").map(abs), normals(n, "a"))
    var b = a
    let g = normals(n, "g")
    at(level) {
      ck_adamw(&a.0, g, &a.1, &a.2, &a.3, 0.5, 1e-2, 0.9, 0.99, 1.3, 1.7, 1e-8, 0.1, 0.9, ck_int(n))
    }
    ckr_adamw(&b.0, g, &b.1, &b.2, &b.3, 0.5, 1e-2, 0.9, 0.99, 1.3, 1.7, 1e-8, 0.1, 0.9, ck_int(n))
    #expect(closeEnough(a.0, b.0, 1e-6) && closeEnough(a.1, b.1, 1e-6))
    #expect(closeEnough(a.2, b.2, 1e-6) && closeEnough(a.3, b.3, 1e-6))
  }

  @Test("noise has the same bits on every instruction set")
  func noiseBits() {
    func bits(_ level: Int32) -> [UInt32] {
      at(level) { normals(4096, "bits") }.map(\.bitPattern)
    }
    let (base, v3, v4) = (bits(0), bits(1), bits(2))
    #expect(zip(base, v3).allSatisfy(==))
    #expect(zip(base, v4).allSatisfy(==))
  }
}

@Suite("Noise is a function of key, draw, pixel and channel") @Compute struct NoiseTests {
  @Test("Philox4x32-10 meets the published known answers (Random123 kat_vectors)")
  func philox() {
    var out = [UInt32](repeating: 0, count: 4)
    ckr_philox([0, 0, 0, 0], [0, 0], &out)
    #expect(out == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    ckr_philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0], &out)
    #expect(out == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
  }

  @Test("overlapping regions agree where they overlap")
  func regions() {
    let stream = NoiseStream(seed: 3, digest: [1, 2, 3])
    let whole = stream.normal(draw: 2, height: 40, width: 90, channels: 3).floats()
    let part = stream.normal(draw: 2, x: 7, y: 11, height: 20, width: 70, channels: 3).floats()
    for y in 0..<20 {
      for x in 0..<70 {
        for c in 0..<3 { #expect(part[(y * 70 + x) * 3 + c] == whole[((y + 11) * 90 + x + 7) * 3 + c]) }
      }
    }
  }

  @Test("a million numbers have mean 0, variance 1, kurtosis 3, and keys differ")
  func moments() {
    let x = NoiseStream(key: 9).normal(draw: 0, height: 1000, width: 1000, channels: 1).floats().map(Double.init)
    let n = Double(x.count)
    let mean = x.reduce(0, +) / n
    let variance = x.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / n
    let kurtosis =
      x.map { ($0 - mean) * ($0 - mean) * ($0 - mean) * ($0 - mean) }.reduce(0, +) / n / variance / variance
    #expect(abs(mean) < 4e-3 && abs(variance - 1) < 6e-3 && abs(kurtosis - 3) < 0.03)
    let other = NoiseStream(key: 10).normal(draw: 0, height: 1000, width: 1000, channels: 1).floats().map(Double.init)
    let correlation = zip(x, other).map { $0 * $1 }.reduce(0, +) / n
    #expect(abs(correlation) < 4e-3)
  }
}

@Suite("AdamW") @Compute struct OptimiserTests {
  @Test("reaches the minimum of a quadratic, and its average follows")
  func quadratic() throws {
    let x = random("x", [4])
    let target = random("goal", [4]).value
    let optimiser = AdamW(
      [x],
      {
        var o = AdamW.Options()
        o.weightDecay = 0
        return o
      }())
    for step in 0..<600 {
      let (_, g) = try withGradients { try x.tensor.squaredError(to: target).loss }
      try optimiser.update(g, rate: step < 400 ? 0.03 : 0.003, averageDecay: 0.95)
    }
    #expect(x.value.largestDifference(from: target) < 1e-2)
    #expect(optimiser.entries[0].average.largestDifference(from: target) < 1e-2)
  }

  @Test("a parameter without gradient, and a NaN, are refused and change nothing")
  func refusals() throws {
    let (x, idle) = (random("x", [4]), random("idle", [4]))
    let before = x.value.floats()
    let both = AdamW([x, idle], .init())
    let (_, g) = try withGradients { try x.tensor.squaredError(to: .zeros([4])).loss }
    let missing = #expect(throws: TensorError.self) { try both.update(g, rate: 1, averageDecay: 0) }
    #expect(missing?.reason.contains("idle") == true)
    let (_, bad) = try withGradients { try x.tensor.scaled(.nan).squaredError(to: .zeros([4])).loss }
    #expect(throws: TensorError.self) { try AdamW([x], .init()).update(bad, rate: 1, averageDecay: 0) }
    #expect(x.value.floats() == before)
  }
}

@Test("convolution equals its scalar reference", arguments: [(3, 1, 1), (3, 2, 1), (1, 1, 0), (5, 1, 2)])
func convolutionReference(kernel: Int, stride: Int, pad: Int) throws {
  let (h, w, i, o) = (9, 7, 5, 6)
  let x = random("x", [2, h, w, i])
  let weight = random("w", [o, i, kernel, kernel])
  let bias = random("b", [o])
  let out = try x.value.conv2d(weight, bias: bias, stride: stride)
  var expected = [Float](repeating: 0, count: out.count)
  ckr_conv_forward(
    x.value.floats(), weight.value.floats(), bias.value.floats(), &expected, 2, ck_int(h), ck_int(w), ck_int(i),
    ck_int(out.shape[1]), ck_int(out.shape[2]), ck_int(o), ck_int(kernel), ck_int(stride), ck_int(pad), 1)
  #expect(closeEnough(out.floats(), expected, 2e-6))
}
