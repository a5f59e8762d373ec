internal import CKernels

extension Tensor {
  /// `x · sigmoid(x)`, element by element (SiLU, arXiv:1702.03118v3).
  public func silu() throws(TensorError) -> Tensor {
    var out = Tensor(uninitialised: shape, dtype)
    let (x, output) = (detached, out)
    parallel(count, cost: 4) { range in
      ck_silu_forward(
        x.dtype.kernel, x.pointer(at: range.lowerBound), output.pointer(at: range.lowerBound), ck_int(range.count))
    }
    guard let tape = Tape.current, let inSlot = slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, x.dtype)
      parallel(x.count, cost: 4) { range in
        ck_silu_backward(
          x.dtype.kernel, x.pointer(at: range.lowerBound), g.pointer(at: range.lowerBound),
          dx.pointer(at: range.lowerBound), ck_int(range.count))
      }
      try inSlot.add(dx)
    }
    return out
  }
}
