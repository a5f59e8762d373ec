internal import CKernels

extension Tensor {
  /// Group norm over pixels and groups of neighbouring channels (arXiv:1803.08494v3), and SiLU, without a copy in between.
  ///
  /// `out = act(((x + offset) − mean) / sqrt(variance + ε) · gain + bias)`, mean and variance of each sample and group. Unlike
  /// ``normalised(gain:modulation:activate:)`` it looks at the whole picture.
  /// - Parameters:
  ///   - gain: `[C]`, as is `bias`; `C` is a multiple of `groups`.
  ///   - offset: `[B, C]` or `[1, C]` float32, added to every pixel first: what time has to say, without a pass of its own.
  /// - Returns: the input's shape, `[B, …, C]`, and dtype.
  public func groupNormalised(
    groups: Int, gain: Parameter, bias: Parameter, offset: Tensor? = nil, epsilon: Float = 1e-5, activate: Bool = true
  ) throws(TensorError) -> Tensor {
    let (batch, c) = (shape.first ?? 0, shape.last ?? 0)
    guard shape.count >= 3, groups > 0, c % groups == 0, gain.shape == [c], bias.shape == [c] else {
      throw TensorError(
        .shape, "groupNormalised",
        "input \(shape) in \(groups) groups does not fit gain \"\(gain.name)\" \(gain.shape) and bias \(bias.shape).",
        remedy: "The last dimension must be \(gain.shape.first ?? 0) and a multiple of \(groups).")
    }
    if let offset, offset.dtype != .f32 || (offset.shape != [batch, c] && offset.shape != [1, c]) {
      throw TensorError(
        .shape, "groupNormalised", "input \(shape) does not fit offset \(offset.shape) of \(offset.dtype).",
        remedy: "Pass float32 [\(batch), \(c)] or [1, \(c)].")
    }
    let x = detached
    let rows = Rows(x)
    let moments = KernelClock.note("group norm: moments \(dtype) \(shape)") {
      rows.sums { _, start, sums, n in
        ck_channel_moments(x.dtype.kernel, x.pointer(at: start), sums, ck_int(n), ck_int(c))
      }
    }
    let norm = GroupStatistics(
      moments: moments, rows: rows.count, groups: groups, gain: gain.value, bias: bias.value, offset: offset,
      epsilon: epsilon)
    var out = Tensor(uninitialised: shape, dtype)
    let output = out
    KernelClock.note("group norm: apply \(dtype) \(shape)") {
      rows.eachPart { b, start, n in
        ck_affine_forward(
          x.dtype.kernel, x.pointer(at: start), norm.scale(b), norm.shift(b), activate ? 1 : 0,
          output.pointer(at: start), ck_int(n), ck_int(c))
      }
    }
    guard let tape = Tape.current else { return out }
    let (inSlot, offsetSlot) = (slot, offset?.slot)
    let (gainSlot, biasSlot) = (tape.slot(for: gain), tape.slot(for: bias))
    guard inSlot != nil || offsetSlot != nil || gainSlot != nil || biasSlot != nil else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let sums = rows.sums { b, start, sums, n in
        ck_affine_moments(
          x.dtype.kernel, x.pointer(at: start), norm.scale(b), norm.shift(b), activate ? 1 : 0, g.pointer(at: start),
          sums, ck_int(n), ck_int(c))
      }
      let back = norm.gradients(sums)
      try gainSlot?.add(back.gain)
      try biasSlot?.add(back.bias)
      if let offset { try offsetSlot?.add(offset.shape[0] == batch ? back.offset : back.offset.summedSamples()) }
      guard let inSlot else { return }
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      rows.eachPart { b, start, n in
        let p = back.factors.floatPointer + b * 2 * c
        ck_affine_backward(
          x.dtype.kernel, x.pointer(at: start), norm.scale(b), norm.shift(b), p, p + c, activate ? 1 : 0,
          g.pointer(at: start), dx.pointer(at: start), ck_int(n), ck_int(c))
      }
      try inSlot.add(dx)
    }
    return out
  }

  /// `[B, C] → [1, C]`, off the tape.
  private func summedSamples() -> Tensor { Tensor(sharing: summedRows(), shape: [1, shape[1]]) }
}

/// The pixels of each sample in runs of a fixed number, shared among threads. Sums are taken run by run and added in order,
/// so that neither batch nor threads change a bit.
private struct Rows: Sendable {
  let batch, count, channels, run: Int
  var runs: Int { (count + run - 1) / run }

  init(_ x: Tensor) {
    (batch, channels) = (x.shape[0], x.shape[x.shape.count - 1])
    count = x.count / max(1, batch * channels)
    run = max(1, min(count, 32_768 / max(1, channels)))
  }

  /// Calls `body(sample, first element, rows)` for every run.
  func eachPart(_ body: (Int, Int, Int) -> Void) {
    parallel(batch * runs, cost: 4 * run * channels) { range in
      for index in range {
        let (b, first) = (index / runs, index % runs * run)
        body(b, (b * count + first) * channels, min(run, count - first))
      }
    }
  }

  /// Two sums for each channel of each sample, `[B, 2C]`: `body(sample, first element, sums, rows)` adds up one run.
  func sums(_ body: (Int, Int, UnsafeMutablePointer<Float>, Int) -> Void) -> Tensor {
    let width = 2 * channels
    let parts = Tensor.zeros([batch * runs, width])
    eachPart { b, start, n in
      let index = b * runs + (start / channels - b * count) / run
      body(b, start, parts.floatPointer + index * width, n)
    }
    let total = Tensor(uninitialised: [batch, width], .f32)
    for b in 0..<batch {
      var sums = [Double](repeating: 0, count: width)
      for part in 0..<runs {
        let from = parts.floatPointer + (b * runs + part) * width
        for i in 0..<width { sums[i] += Double(from[i]) }
      }
      for i in 0..<width { total.floatPointer[b * width + i] = Float(sums[i]) }
    }
    return total
  }
}

/// Mean and spread of each group, as one factor and one summand for each channel of each sample.
private struct GroupStatistics: Sendable {
  let rows, groups, batch, channels: Int
  let moments, gain: Tensor
  let offset: Tensor?
  /// `[B, 2C]`: `x · scale + shift` is the norm's output.
  let coefficients: Tensor
  /// Of each sample and group.
  let mean, inverse: [Double]

  init(moments: Tensor, rows: Int, groups: Int, gain: Tensor, bias: Tensor, offset: Tensor?, epsilon: Float) {
    (self.moments, self.rows, self.groups, self.gain, self.offset) = (moments, rows, groups, gain, offset)
    let (batch, c) = (moments.shape[0], moments.shape[1] / 2)
    (self.batch, channels) = (batch, c)
    let (width, n) = (c / groups, Double(rows * (c / groups)))
    let coefficients = Tensor(uninitialised: [batch, 2 * c], .f32)
    var (means, inverses) = ([Double](), [Double]())
    for b in 0..<batch {
      let (sums, out) = (moments.floatPointer + b * 2 * c, coefficients.floatPointer + b * 2 * c)
      let t = Self.row(of: offset, b, c)
      for g in 0..<groups {
        var (sum, square) = (0.0, 0.0)
        for i in g * width..<(g + 1) * width {
          let (s, q, o) = (Double(sums[i]), Double(sums[c + i]), t.map { Double($0[i]) } ?? 0)
          sum += s + Double(rows) * o
          square += q + o * (2 * s + Double(rows) * o)
        }
        let mean = sum / n
        let inverse = 1 / (max(0, square / n - mean * mean) + Double(epsilon)).squareRoot()
        means.append(mean)
        inverses.append(inverse)
        for i in g * width..<(g + 1) * width {
          let a = inverse * Double(gain.floatPointer[i])
          out[i] = Float(a)
          out[c + i] = Float(Double(bias.floatPointer[i]) + ((t.map { Double($0[i]) } ?? 0) - mean) * a)
        }
      }
    }
    (self.coefficients, mean, inverse) = (coefficients, means, inverses)
  }

  func scale(_ b: Int) -> UnsafeMutablePointer<Float> { coefficients.floatPointer + b * 2 * channels }
  func shift(_ b: Int) -> UnsafeMutablePointer<Float> { scale(b) + channels }

  private static func row(of offset: Tensor?, _ b: Int, _ c: Int) -> UnsafeMutablePointer<Float>? {
    offset.map { $0.floatPointer + ($0.shape[0] == 1 ? 0 : b * c) }
  }

  struct Back: Sendable {
    /// `[C]`, `[C]` and `[B, C]`.
    let gain, bias, offset: Tensor
    /// `[B, 2C]`: `dx = du · scale + x · p + q`.
    let factors: Tensor
  }

  /// From each channel's sums of `du` and of `du · x`, `[B, 2C]`.
  ///
  /// With `n̂ = (x + t − mean) · inverse`: `dx = inverse · (gain · du − mean(gain · du) − n̂ · mean(gain · du · n̂))`.
  func gradients(_ sums: Tensor) -> Back {
    let (c, width) = (channels, channels / groups)
    let n = Double(rows * width)
    var (dgain, dbias) = ([Double](repeating: 0, count: c), [Double](repeating: 0, count: c))
    let (doffset, factors) = (Tensor(uninitialised: [batch, c], .f32), Tensor(uninitialised: [batch, 2 * c], .f32))
    for b in 0..<batch {
      let (s, x) = (sums.floatPointer + b * 2 * c, moments.floatPointer + b * 2 * c)
      let t = Self.row(of: offset, b, c)
      for g in 0..<groups {
        let (m, inverse) = (mean[b * groups + g], inverse[b * groups + g])
        var (sum, dot) = (0.0, 0.0)
        for i in g * width..<(g + 1) * width {
          let du = Double(s[i])
          let normal = inverse * (Double(s[c + i]) + ((t.map { Double($0[i]) } ?? 0) - m) * du)
          dgain[i] += normal
          dbias[i] += du
          sum += Double(gain.floatPointer[i]) * du
          dot += Double(gain.floatPointer[i]) * normal
        }
        let p = -inverse * inverse * dot / n
        for i in g * width..<(g + 1) * width {
          let o = t.map { Double($0[i]) } ?? 0
          let q = -inverse * sum / n + p * (o - m)
          factors.floatPointer[b * 2 * c + i] = Float(p)
          factors.floatPointer[b * 2 * c + c + i] = Float(q)
          doffset.floatPointer[b * c + i] = Float(
            Double(scale(b)[i]) * Double(s[i]) + p * Double(x[i]) + Double(rows) * q)
        }
      }
    }
    let (gains, biases) = (Tensor.zeros([c]), Tensor.zeros([c]))
    for i in 0..<c { (gains.floatPointer[i], biases.floatPointer[i]) = (Float(dgain[i]), Float(dbias[i])) }
    return Back(gain: gains, bias: biases, offset: doffset, factors: factors)
  }
}
