internal import CKernels

extension Tensor {
  /// `(1 − μ) h + μ a` with `self` as `h`: how an adapter steers a core. CoDi (arXiv:2310.01407v2), §3.2.
  ///
  /// At `μ = 0` the result equals `h` bit for bit.
  /// - Parameters:
  ///   - adapted: `a`, of the shape and dtype of `h`, `[B, H, W, C]`.
  ///   - mu: `[1]` (the paper's scalar) or `[C]`.
  public func blended(with adapted: Tensor, mu: Parameter) throws(TensorError) -> Tensor {
    let m = try checkedMu(mu, for: adapted)
    let c = shape.last ?? 0
    var out = Tensor(uninitialised: shape, dtype)
    let (h, a, output) = (detached, adapted.detached, out)
    let rows = count / max(1, c)
    parallel(rows, cost: c) { range in
      ck_blend_forward(
        h.dtype.kernel, h.pointer(at: range.lowerBound * c), a.pointer(at: range.lowerBound * c), m.floatPointer,
        output.pointer(at: range.lowerBound * c), ck_int(range.count), ck_int(c))
    }
    guard let tape = Tape.current else { return out }
    let (hSlot, aSlot, muSlot) = (slot, adapted.slot, tape.slot(for: mu))
    guard hSlot != nil || aSlot != nil || muSlot != nil else { return out }
    let scalarMu = mu.shape == [1]
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dh = hSlot.map { _ in Tensor(uninitialised: h.shape, h.dtype) }
      let da = aSlot.map { _ in Tensor(uninitialised: h.shape, h.dtype) }
      let batch = max(1, h.shape[0])
      let each = rows / batch
      let dmus = Tensor.zeros([batch, c])
      parallel(batch, cost: each * c) { range in
        for b in range {
          let start = b * each * c
          ck_blend_backward(
            h.dtype.kernel, h.pointer(at: start), a.pointer(at: start), m.floatPointer, g.pointer(at: start),
            dh?.pointer(at: start), da?.pointer(at: start), dmus.floatPointer + b * c, ck_int(each), ck_int(c))
        }
      }
      if let dh { try hSlot?.add(dh) }
      if let da { try aSlot?.add(da) }
      if let muSlot {
        let perChannel = dmus.summedRows()
        try muSlot.add(scalarMu ? Tensor.full([1], perChannel.floats().reduce(0, +)) : perChannel)
      }
    }
    return out
  }

  /// `μ` for each channel, `[C]`.
  /// - Throws: `TensorError` where `adapted` or `mu` do not fit these features.
  func checkedMu(_ mu: Parameter, for adapted: Tensor) throws(TensorError) -> Tensor {
    try requireSame(as: adapted, "blended")
    let c = shape.last ?? 0
    guard mu.shape == [1] || mu.shape == [c], c <= 4096 else {
      throw TensorError(
        .shape, "blended", "μ \"\(mu.name)\" is \(mu.shape), the features are \(shape).",
        remedy: "μ must be [1] or [\(c)].")
    }
    return mu.shape == [c] ? mu.value : Tensor.full([c], mu.value.scalar)
  }
}
