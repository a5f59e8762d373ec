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
    let rows = count / max(1, batch * c)
    let epsilon: Float = 1e-6
    let modulationStep = modulation.map { $0.shape[0] == 1 ? 0 : 2 * c } ?? 0
    var out = Tensor(uninitialised: shape, dtype)
    let x = detached
    let output = out
    let chunk = max(1, min(rows, 32_768 / max(1, c)))
    let chunks = (rows + chunk - 1) / chunk
    parallel(batch * chunks, cost: chunk * c) { range in
      for index in range {
        let (b, first) = (index / chunks, index % chunks * chunk)
        let start = (b * rows + first) * c
        let m = modulation.map { $0.floatPointer + b * modulationStep }
        ck_norm_forward(
          x.dtype.kernel, x.pointer(at: start), gain.value.floatPointer, m, m.map { $0 + c }, epsilon, activate ? 1 : 0,
          output.pointer(at: start), ck_int(min(chunk, rows - first)), ck_int(c))
      }
    }
    guard let tape = Tape.current else { return out }
    let (inSlot, gainSlot, modulationSlot) = (slot, tape.slot(for: gain), modulation?.slot)
    guard inSlot != nil || gainSlot != nil || modulationSlot != nil else { return out }
    let gains = gain.value
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      // One partial sum a sample, added up in order, so that the bits do not depend on the number of threads.
      let dgains = Tensor.zeros([batch, c])
      let dmodulation = modulation.map { _ in Tensor.zeros([batch, 2 * c]) }
      parallel(batch, cost: rows * c) { range in
        for b in range {
          let m = modulation.map { $0.floatPointer + b * modulationStep }
          let dm = dmodulation.map { $0.floatPointer + b * 2 * c }
          ck_norm_backward(
            x.dtype.kernel, x.pointer(at: b * rows * c), gains.floatPointer, m, m.map { $0 + c }, epsilon,
            activate ? 1 : 0, g.pointer(at: b * rows * c), dx.pointer(at: b * rows * c), dgains.floatPointer + b * c,
            dm,
            dm.map { $0 + c }, ck_int(rows), ck_int(c))
        }
      }
      try inSlot?.add(dx)
      if let gainSlot { try gainSlot.add(dgains.summedRows()) }
      if let modulationSlot, let dmodulation {
        try modulationSlot.add(
          modulationStep == 0 && batch > 1 ? Tensor(sharing: dmodulation.summedRows(), shape: [1, 2 * c]) : dmodulation)
      }
    }
    return out
  }

  /// Sum over all but the last dimension, `[…, C] → [C]`, float32, in order, off the tape.
  func summedRows() -> Tensor {
    let c = shape.last ?? 1
    let out = Tensor.zeros([c])
    ck_sum_rows(dtype.kernel, base, out.floatPointer, ck_int(count / c), ck_int(c))
    return out
  }
}
