internal import CKernels
internal import Copenblas

/// Keeps OpenBLAS to the calling thread: its own sharing out would change bits with the number of threads. Not with
/// `openblas_set_num_threads`, which in the OpenMP build sets the number for everybody.
func onThisThread(_ body: () -> Void) {
  let threads = ck_threads()
  ck_set_threads(1)
  body()
  ck_set_threads(threads)
}

extension Tensor {
  /// `x Wᵀ + b`: `[B, I] → [B, O]` in float32, with `weight` `[O, I]` and `bias` `[O]`.
  public func linear(_ weight: Parameter, bias: Parameter) throws(TensorError) -> Tensor {
    guard dtype == .f32, shape.count == 2, weight.shape.count == 2, weight.shape[1] == shape[1],
      bias.shape == [weight.shape[0]]
    else {
      throw TensorError(
        .shape, "linear",
        "input \(shape) of \(dtype) does not fit weight \"\(weight.name)\" \(weight.shape) and bias \(bias.shape).",
        remedy: "Pass float32 [B, \(weight.shape.last ?? 0)].")
    }
    let (m, k, n) = (Int32(shape[0]), Int32(shape[1]), Int32(weight.shape[0]))
    var out = Tensor(uninitialised: [shape[0], weight.shape[0]], .f32)
    let (x0, w0, y0, b0) = (self, weight.value, out, bias.value)
    // One product a row, so that a sample has the same bits alone and in a batch.
    parallel(shape[0], cost: shape[1] * weight.shape[0]) { rows in
      onThisThread {
        for row in rows {
          let y = y0.floatPointer + row * Int(n)
          y.update(from: b0.floatPointer, count: Int(n))
          cblas_sgemv(
            CblasRowMajor, CblasNoTrans, n, k, 1, w0.floatPointer, k, x0.floatPointer + row * Int(k), 1, 1, y, 1)
        }
      }
    }
    guard let tape = Tape.current else { return out }
    let (inSlot, weightSlot, biasSlot) = (slot, tape.slot(for: weight), tape.slot(for: bias))
    guard inSlot != nil || weightSlot != nil || biasSlot != nil else { return out }
    let (x, w) = (detached, weight.value)
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      if let weightSlot {
        let dw = Tensor(uninitialised: w.shape, .f32)
        onThisThread {
          cblas_sgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, 1, g.floatPointer, n, x.floatPointer, k, 0,
            dw.floatPointer, k)
        }
        try weightSlot.add(dw)
      }
      if let biasSlot { try biasSlot.add(g.summedRows()) }
      if let inSlot {
        let dx = Tensor(uninitialised: x.shape, .f32)
        onThisThread {
          cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, n, 1, g.floatPointer, n, w.floatPointer, k, 0,
            dx.floatPointer, k)
        }
        try inSlot.add(dx)
      }
    }
    return out
  }
}
