internal import CKernels

extension Tensor {
  /// Layer norm of each position over its channels (arXiv:1607.06450v1), `[…, C] → […, C]`.
  /// - Parameter gain: `[C]`, as is `bias`; at most 4096 channels.
  public func layerNormalised(gain: Parameter, bias: Parameter, epsilon: Float = 1e-5) throws(TensorError) -> Tensor {
    let c = shape.last ?? 0
    guard shape.count >= 2, gain.shape == [c], bias.shape == [c], c <= 4096 else {
      throw TensorError(
        .shape, "layerNormalised",
        "input \(shape) does not fit gain \"\(gain.name)\" \(gain.shape), bias \(bias.shape).",
        remedy: "The last dimension must be \(gain.shape.first ?? 0), at most 4096.")
    }
    let rows = count / max(1, c)
    var out = Tensor(uninitialised: shape, dtype)
    let (x, output, gains, biases) = (detached, out, gain.value, bias.value)
    KernelClock.note("layer norm \(dtype) \(shape)") {
      parallel(rows, cost: 4 * c) { range in
        ck_layer_norm_forward(
          x.dtype.kernel, x.pointer(at: range.lowerBound * c), gains.floatPointer, biases.floatPointer, epsilon,
          output.pointer(at: range.lowerBound * c), ck_int(range.count), ck_int(c))
      }
    }
    guard let tape = Tape.current else { return out }
    let (inSlot, gainSlot, biasSlot) = (slot, tape.slot(for: gain), tape.slot(for: bias))
    guard inSlot != nil || gainSlot != nil || biasSlot != nil else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      // Sums over runs of a fixed number of rows, added in order: the same bits for any number of threads.
      let run = max(1, 16_384 / c)
      let runs = (rows + run - 1) / run
      let sums = Tensor.zeros([runs, 2 * c])
      parallel(runs, cost: 8 * run * c) { range in
        for index in range {
          let (first, part) = (index * run, sums.floatPointer + index * 2 * c)
          ck_layer_norm_backward(
            x.dtype.kernel, x.pointer(at: first * c), gains.floatPointer, epsilon, g.pointer(at: first * c),
            dx.pointer(at: first * c), part, part + c, ck_int(min(run, rows - first)), ck_int(c))
        }
      }
      try inSlot?.add(dx)
      let total = sums.summedRows()
      let parts = try [0, 1].map { (half) throws(TensorError) in
        try Tensor(Array(total.floats()[half * c..<(half + 1) * c]), shape: [c])
      }
      try gainSlot?.add(parts[0])
      try biasSlot?.add(parts[1])
    }
    return out
  }

  /// The gated half of a feed-forward layer (GEGLU, arXiv:2002.05202v1): `[…, 2C] → […, C]`, `x₁ · gelu(x₂)` with the exact
  /// Gaussian distribution function.
  public func geglu() throws(TensorError) -> Tensor {
    guard shape.count >= 2, let width = shape.last, width > 0, width % 2 == 0 else {
      throw TensorError(
        .shape, "geglu", "takes an even number of channels, found \(shape).",
        remedy: "The layer before must have two outputs for each channel.")
    }
    let (rows, c) = (count / width, width / 2)
    var out = Tensor(uninitialised: shape.dropLast() + [c], dtype)
    let (x, output) = (detached, out)
    KernelClock.note("GEGLU \(dtype) \(shape)") {
      parallel(rows, cost: 8 * c) { range in
        ck_geglu_forward(
          x.dtype.kernel, x.pointer(at: range.lowerBound * width), output.pointer(at: range.lowerBound * c),
          ck_int(range.count), ck_int(c))
      }
    }
    guard let tape = Tape.current, let inSlot = slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      parallel(rows, cost: 16 * c) { range in
        ck_geglu_backward(
          x.dtype.kernel, x.pointer(at: range.lowerBound * width), g.pointer(at: range.lowerBound * c),
          dx.pointer(at: range.lowerBound * width), ck_int(range.count), ck_int(c))
      }
      try inSlot.add(dx)
    }
    return out
  }
}
