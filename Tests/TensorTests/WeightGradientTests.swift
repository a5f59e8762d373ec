import CKernels
import Tensor
import Testing

/// One convolution: batch, side, channels in and out, kernel, stride.
struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  let b, side, i, o, k, s: Int
  var testDescription: String { "\(b)×\(side)² \(i)→\(o) \(k)×\(k)/\(s)" }
}

/// Whether this CPU has the tiles that the kernel works on.
private let hasTiles: Bool = {
  var p = ck_gradient(
    batch: 1, height: 8, width: 8, in: 16, out_height: 8, out_width: 8, out: 16, kernel: 3, stride: 1, pad: 1)
  return ck_has_weight_gradient(&p) == 1
}()

@Suite("Gradients of bfloat16 convolutions' weights", .enabled(if: hasNativeBFloat16)) @Compute
struct WeightGradientTests {
  nonisolated static let cases = [
    ConvolutionCase(b: 5, side: 8, i: 24, o: 20, k: 3, s: 1), ConvolutionCase(b: 3, side: 16, i: 64, o: 64, k: 3, s: 2),
    ConvolutionCase(b: 7, side: 4, i: 48, o: 33, k: 3, s: 1), ConvolutionCase(b: 2, side: 64, i: 12, o: 40, k: 3, s: 1),
    ConvolutionCase(b: 9, side: 16, i: 40, o: 12, k: 1, s: 1), ConvolutionCase(b: 2, side: 10, i: 7, o: 5, k: 3, s: 1),
    ConvolutionCase(b: 1, side: 96, i: 16, o: 17, k: 3, s: 2),
  ]

  /// Gradients of weight and bias of a loss whose gradient at the output is random, in float32 or bfloat16 of the same values.
  private func gradients(_ c: ConvolutionCase, _ dtype: DType) throws -> (Tensor, Tensor) {
    let x = random("x", [c.b, c.side, c.side, c.i]).value.converted(to: .bf16).converted(to: dtype)
    let (w, b) = (random("w", [c.o, c.i, c.k, c.k], scale: 0.1), random("b", [c.o]))
    let (_, gradients) = try withGradients {
      let y = try x.conv2d(w, bias: b, stride: c.s)
      // d/dy of |y − (y − r/2 · n)|² / n is r: the target moves with the output, so that rounding of y does not matter.
      let r = random("r", y.shape).value.converted(to: .bf16).converted(to: dtype)
      let target = try Tensor.sum(1, y.detached, -0.5 * Float(y.count), r)
      return try y.squaredError(to: target).loss
    }
    return (try #require(gradients[w]), try #require(gradients[b]))
  }

  @Test("agree with float32's", arguments: cases)
  func agreement(c: ConvolutionCase) throws {
    let (exact, low) = (try gradients(c, .f32), try gradients(c, .bf16))
    for (found, wanted) in [(low.0, exact.0), (low.1, exact.1)] {
      let size = wanted.floats().map(abs).max() ?? 0
      #expect(found.largestDifference(from: wanted) < 1e-2 * size)
    }
  }

  /// Without the last case: oneDNN has it, as 48 pixels are no whole number of steps, and shares out its sums for the bias.
  @Test("have the same bits with one and two threads", arguments: cases.dropLast())
  func threads(c: ConvolutionCase) throws {
    let before = Compute.threads
    defer { Compute.threads = before }
    Compute.threads = 1
    let one = try gradients(c, .bf16)
    Compute.threads = 2
    let two = try gradients(c, .bf16)
    #expect(one.0.floats() == two.0.floats() && one.1.floats() == two.1.floats())
  }

  /// A plain loop over everything, in double.
  private func reference(
    _ c: ConvolutionCase, _ x: [UInt16], _ dout: [UInt16], side out: Int
  ) -> (w: [Float], b: [Float]) {
    var (dw, db) = ([Double](repeating: 0, count: c.o * c.i * c.k * c.k), [Double](repeating: 0, count: c.o))
    let pad = c.k / 2
    for b in 0..<c.b {
      for y in 0..<out {
        for z in 0..<out {
          for o in 0..<c.o {
            let d = Double(ckr_from_bf16(dout[((b * out + y) * out + z) * c.o + o]))
            db[o] += d
            for ky in 0..<c.k {
              for kx in 0..<c.k {
                let (sy, sx) = (y * c.s + ky - pad, z * c.s + kx - pad)
                guard sy >= 0, sx >= 0, sy < c.side, sx < c.side else { continue }
                let from = ((b * c.side + sy) * c.side + sx) * c.i
                for i in 0..<c.i {
                  dw[((o * c.i + i) * c.k + ky) * c.k + kx] += d * Double(ckr_from_bf16(x[from + i]))
                }
              }
            }
          }
        }
      }
    }
    return (dw.map(Float.init), db.map(Float.init))
  }

  @Test("on tiles equal a plain loop's to float32's precision", .enabled(if: hasTiles), arguments: cases)
  func kernel(c: ConvolutionCase) throws {
    let out = (c.side + 2 * (c.k / 2) - c.k) / c.s + 1
    var p = ck_gradient(
      batch: ck_int(c.b), height: ck_int(c.side), width: ck_int(c.side), in: ck_int(c.i), out_height: ck_int(out),
      out_width: ck_int(out), out: ck_int(c.o), kernel: ck_int(c.k), stride: ck_int(c.s), pad: ck_int(c.k / 2))
    // Rows of 10 and of 48 pixels cannot be cut into steps: oneDNN has those.
    guard ck_has_weight_gradient(&p) == 1 else {
      #expect(out == 10 || out == 48)
      return
    }
    let x = random("x", [c.b * c.side * c.side * c.i]).value.floats().map { ckr_to_bf16($0) }
    let dout = random("d", [c.b * out * out * c.o]).value.floats().map { ckr_to_bf16($0) }
    let (parts, each) = (ck_weight_gradient_parts(&p), (ck_weight_gradient_bytes(&p) + 63) & ~63)
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: Int(parts) * each, alignment: 64)
    defer { scratch.deallocate() }
    var (w, b) = ([Float](repeating: 0, count: c.o * c.i * c.k * c.k), [Float](repeating: 0, count: c.o))
    for part in 0..<parts { ck_weight_gradient_part(&p, x, dout, part, scratch + Int(part) * each) }
    ck_weight_gradient_finish(&p, scratch, &w, &b, 0, ck_int(c.o))
    let wanted = reference(c, x, dout, side: out)
    for (found, wanted) in [(w, wanted.w), (b, wanted.b)] {
      let size = max(1, wanted.map(abs).max() ?? 0)
      #expect(zip(found, wanted).allSatisfy { abs($0 - $1) <= 2e-6 * size })
    }
  }
}

@Suite("A skip that joins its decoder") @Compute struct JoinTests {
  private static let shapes = (h: [2, 4, 5, 6], skip: [2, 4, 5, 9])

  @Test("gives the bits of blending, putting together and the norm", arguments: [DType.f32, .bf16], [0, 1, 9])
  func bits(dtype: DType, mus: Int) throws {
    let h = random("h", Self.shapes.h).value.converted(to: dtype)
    let core = random("core", Self.shapes.skip).value.converted(to: dtype)
    let mine = random("mine", Self.shapes.skip).value.converted(to: dtype)
    let (gain, mu) = (random("gain", [15]), random("mu", [max(1, mus)]))
    let together = try h.joined(with: core, steeredBy: mus == 0 ? nil : (mine, mu), gain: gain)
    let apart = try h.concatenated(with: mus == 0 ? core : try core.blended(with: mine, mu: mu))
    #expect(together.joined.floats() == apart.floats())
    #expect(together.normalised.floats() == (try apart.normalised(gain: gain)).floats())
  }

  @Test("passes gradients to everything that takes part", arguments: [1, 9])
  func gradients(mus: Int) throws {
    let (h, core) = (random("h", Self.shapes.h), random("core", Self.shapes.skip))
    let mine = random("mine", Self.shapes.skip)
    let (gain, mu) = (random("gain", [15]), random("mu", [mus], scale: 0.3))
    try checkGradients(of: [h, core, mine, gain, mu]) {
      let both = try h.tensor.joined(with: core.tensor, steeredBy: (mine.tensor, mu), gain: gain)
      // Both results have a say, as in a block with a shortcut.
      return try both.joined + both.normalised
    }
    try checkGradients(of: [h, core, gain]) {
      let both = try h.tensor.joined(with: core.tensor, steeredBy: nil, gain: gain)
      return try both.joined + both.normalised
    }
  }

  @Test("is refused where sizes differ, by name")
  func refusals() throws {
    let (h, skip) = (random("h", [1, 4, 4, 3]).value, random("s", [1, 4, 4, 2]).value)
    let gain = random("gain", [4])
    let error = #expect(throws: TensorError.self) { try h.joined(with: skip, steeredBy: nil, gain: gain) }
    #expect(error?.operation == "joined" && error?.reason.contains("[1, 4, 4, 2]") == true)
  }
}
