internal import CKernels

extension Tensor {
  /// Root-mean-square norm of each pixel over its channels, modulation, and SiLU, in one pass.
  ///
  /// `n = x / sqrt(mean(x²) + ε) · gain`, `u = n (1 + scale) + shift`, result `u · sigmoid(u)` (or `u`). RMSNorm is
  /// arXiv:1910.07467v1, Eq. 4; it looks at one pixel only, so a region equals the whole picture.
  /// - Parameters:
  ///   - gain: `[C]`.
  ///   - modulation: `[B, 2C]` float32, scale then shift; one row serves the whole batch when `B` is 1 there.
  /// - Returns: the input's shape, `[B, …, C]`, and dtype.
  public func normalised(gain: Parameter, modulation: Tensor? = nil, activate: Bool = true) throws(TensorError)
    -> Tensor
  {
    let c = shape.last ?? 0
    let batch = shape.first ?? 0
    guard shape.count >= 2, gain.shape == [c], c <= 4096 else {
      throw TensorError(
        .shape, "normalised", "input \(shape) does not fit gain \"\(gain.name)\" \(gain.shape).",
        remedy: "The last dimension must be \(gain.shape.first ?? 0), at most 4096.")
    }
    if let modulation {
      guard modulation.dtype == .f32, modulation.shape == [batch, 2 * c] || modulation.shape == [1, 2 * c] else {
        throw TensorError(
          .shape, "normalised", "input \(shape) does not fit modulation \(modulation.shape) of \(modulation.dtype).",
          remedy: "Pass float32 [\(batch), \(2 * c)]: scale, then shift.")
      }
    }
    let norm = RowNorm(self, gain: gain.value, modulation: modulation, activate: activate)
    var out = Tensor(uninitialised: shape, dtype)
    let output = out
    KernelClock.note("norm \(dtype) \(shape)") {
      norm.eachRun { b, start, n in norm.forward(b, start, n, into: output) }
    }
    norm.record(&out, slot, gain, modulation)
    return out
  }

  /// The channels of `self`, then of `skip`, and the norm with SiLU of all of them: what a block of a decoder begins with.
  ///
  /// A run of pixels is blended, put together and normalised while it is in cache. The same bits as
  /// ``blended(with:mu:)``, ``concatenated(with:)`` and ``normalised(gain:modulation:activate:)`` one after the other.
  /// - Parameters:
  ///   - skip: `[B, H, W, D]`.
  ///   - mine: what steers the skip, of its shape, with `μ` of `[1]` or `[D]`; `nil` leaves it as it is.
  ///   - gain: `[C + D]`.
  /// - Returns: `[B, H, W, C + D]` twice.
  public func joined(
    with skip: Tensor, steeredBy mine: (features: Tensor, mu: Parameter)?, gain: Parameter
  ) throws(TensorError) -> (joined: Tensor, normalised: Tensor) {
    guard shape.count == 4, skip.shape.count == 4, shape.dropLast() == skip.shape.dropLast(), dtype == skip.dtype,
      gain.shape == [shape[3] + skip.shape[3]], gain.shape[0] <= 4096
    else {
      throw TensorError(
        .shape, "joined",
        "found \(shape) of \(dtype), \(skip.shape) of \(skip.dtype), and gain \"\(gain.name)\" \(gain.shape).",
        remedy: "All dimensions but the last, and the dtypes, must agree; the gain has both widths, at most 4096.")
    }
    let mu = try mine.map { (mine) throws(TensorError) in try skip.checkedMu(mine.mu, for: mine.features) }
    let (c, d) = (shape[3], skip.shape[3])
    var joined = Tensor(uninitialised: shape.dropLast() + [c + d], dtype)
    var out = Tensor(uninitialised: joined.shape, dtype)
    let norm = RowNorm(joined, gain: gain.value, modulation: nil, activate: true)
    let (h, core, steering, together, output) = (detached, skip.detached, mine?.features.detached, joined, out)
    KernelClock.note("join and norm \(dtype) \(joined.shape)") {
      norm.eachRun { b, start, n in
        // In the first-level cache between the two.
        for first in stride(from: 0, to: n, by: 16) {
          let (row, some) = (start / (c + d) + first, min(16, n - first))
          ck_join(
            h.dtype.kernel, h.pointer(at: row * c), core.pointer(at: row * d), steering?.pointer(at: row * d),
            mu?.floatPointer, together.pointer(at: row * (c + d)), ck_int(some), ck_int(c), ck_int(d))
          norm.forward(b, row * (c + d), some, into: output)
        }
      }
    }
    recordJoin(&joined, skip, mine, mu)
    norm.record(&out, joined.slot, gain, nil)
    return (joined, out)
  }

  /// Puts `joined` on the tape: its gradient goes to both halves, and to what steers the second.
  private func recordJoin(
    _ joined: inout Tensor, _ skip: Tensor, _ mine: (features: Tensor, mu: Parameter)?, _ mu: Tensor?
  ) {
    guard let tape = Tape.current else { return }
    let (first, second, third) = (slot, skip.slot, mine?.features.slot)
    let muSlot = mine.flatMap { tape.slot(for: $0.mu) }
    guard first != nil || second != nil || third != nil || muSlot != nil else { return }
    let (own, core, steering, scalarMu) = (shape, skip.detached, mine?.features.detached, mine?.mu.shape == [1])
    let (c, d, batch) = (shape[3], skip.shape[3], max(1, shape[0]))
    let rows = count / max(1, batch * c)
    tape.record(&joined) { (g: Tensor) throws(TensorError) in
      let dh = first.map { _ in Tensor(uninitialised: own, g.dtype) }
      let dcore = second.map { _ in Tensor(uninitialised: core.shape, g.dtype) }
      let dmine = third.map { _ in Tensor(uninitialised: core.shape, g.dtype) }
      let dmus = Tensor.zeros([batch, d])
      KernelClock.note("join, backward \(g.dtype) \(g.shape)") {
        parallel(batch, cost: rows * (c + d)) { range in
          for b in range {
            let row = b * rows
            ck_join_backward(
              g.dtype.kernel, core.pointer(at: row * d), steering?.pointer(at: row * d), mu?.floatPointer,
              g.pointer(at: row * (c + d)), dh?.pointer(at: row * c), dcore?.pointer(at: row * d),
              dmine?.pointer(at: row * d), dmus.floatPointer + b * d, ck_int(rows), ck_int(c), ck_int(d))
          }
        }
      }
      if let dh { try first?.add(dh) }
      if let dcore { try second?.add(dcore) }
      if let dmine { try third?.add(dmine) }
      if let muSlot {
        let perChannel = dmus.summedRows()
        try muSlot.add(scalarMu ? Tensor.full([1], perChannel.floats().reduce(0, +)) : perChannel)
      }
    }
  }

  /// Sum over all but the last dimension, `[…, C] → [C]`, float32, in order, off the tape.
  func summedRows() -> Tensor {
    let c = shape.last ?? 1
    let out = Tensor.zeros([c])
    ck_sum_rows(dtype.kernel, base, out.floatPointer, ck_int(count / c), ck_int(c))
    return out
  }
}

/// The norm of each pixel of one tensor, run by run.
private struct RowNorm: Sendable {
  let x: Tensor
  let gain: Tensor
  let modulation: Tensor?
  let activate: Bool
  private let batch, channels, rows, modulationStep: Int
  private static let epsilon: Float = 1e-6

  init(_ x: Tensor, gain: Tensor, modulation: Tensor?, activate: Bool) {
    (self.x, self.gain, self.modulation, self.activate) = (x.detached, gain, modulation?.detached, activate)
    (batch, channels) = (x.shape[0], gain.count)
    rows = x.count / max(1, batch * channels)
    modulationStep = modulation.map { $0.shape[0] == 1 ? 0 : 2 * gain.count } ?? 0
  }

  /// Calls `body(sample, first element, rows)` for runs that cover everything.
  func eachRun(_ body: (Int, Int, Int) -> Void) {
    let run = max(1, min(rows, 32_768 / max(1, channels)))
    let runs = (rows + run - 1) / run
    parallel(batch * runs, cost: run * channels) { range in
      for index in range {
        let (b, first) = (index / runs, index % runs * run)
        body(b, (b * rows + first) * channels, min(run, rows - first))
      }
    }
  }

  /// Scale and shift of one sample.
  private func factors(_ b: Int) -> UnsafeMutablePointer<Float>? {
    modulation.map { $0.floatPointer + b * modulationStep }
  }

  func forward(_ b: Int, _ start: Int, _ n: Int, into out: Tensor) {
    let m = factors(b)
    ck_norm_forward(
      x.dtype.kernel, x.pointer(at: start), gain.floatPointer, m, m.map { $0 + channels }, Self.epsilon,
      activate ? 1 : 0, out.pointer(at: start), ck_int(n), ck_int(channels))
  }

  /// Puts the norm's output on the tape. Where something of the input's gradient has arrived already, it is added in the
  /// same pass.
  func record(_ out: inout Tensor, _ inSlot: Slot?, _ gain: Parameter, _ modulation: Tensor?) {
    guard let tape = Tape.current else { return }
    let (gainSlot, modulationSlot) = (tape.slot(for: gain), modulation?.slot)
    guard inSlot != nil || gainSlot != nil || modulationSlot != nil else { return }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      let (each, c) = (rows * channels, channels)
      let before = inSlot?.takeGradient(like: dx)
      // One partial sum a sample, added up in order, so that the bits do not depend on the number of threads.
      let dgains = Tensor.zeros([batch, c])
      let dmodulation = self.modulation.map { _ in Tensor.zeros([batch, 2 * c]) }
      KernelClock.note("norm, backward \(x.dtype) \(x.shape)") {
        parallel(batch, cost: each) { range in
          for b in range {
            let (m, dm) = (factors(b), dmodulation.map { $0.floatPointer + b * 2 * c })
            ck_norm_backward(
              x.dtype.kernel, x.pointer(at: b * each), self.gain.floatPointer, m, m.map { $0 + c }, Self.epsilon,
              activate ? 1 : 0, g.pointer(at: b * each), before?.pointer(at: b * each), dx.pointer(at: b * each),
              dgains.floatPointer + b * c, dm, dm.map { $0 + c }, ck_int(rows), ck_int(c))
          }
        }
      }
      try inSlot?.add(dx)
      if let gainSlot { try gainSlot.add(dgains.summedRows()) }
      if let modulationSlot, let dmodulation {
        try modulationSlot.add(
          modulationStep == 0 && batch > 1 ? Tensor(sharing: dmodulation.summedRows(), shape: [1, 2 * c]) : dmodulation)
      }
    }
  }
}
