/// Operations that only networks for measuring need: float32, forward only. Their results are off the tape.
extension Tensor {
  /// `max(x, 0)`, element by element.
  public func rectified() throws(TensorError) -> Tensor {
    try requireFloat("rectified")
    let out = Tensor(uninitialised: shape, .f32)
    let (x, y) = (floatPointer, out.floatPointer)
    parallel(count, cost: 1) { range in
      for i in range { y[i] = max(x[i], 0) }
    }
    return out
  }

  /// Largest value of each `window × window` square, `[B, H, W, C] → [B, H', W', C]`, without padding.
  ///
  /// `H' = ⌈(H − window) / stride⌉ + 1`: a last square may reach over the edge, where it looks at what is inside.
  public func maxPooled(window: Int, stride: Int) throws(TensorError) -> Tensor {
    try require(rank: 4, "maxPooled")
    try requireFloat("maxPooled")
    let (h, w, c) = (shape[1], shape[2], shape[3])
    guard window > 0, (1...window).contains(stride), h >= window, w >= window else {
      throw TensorError(
        .shape, "maxPooled", "\(shape) has no square of \(window) with stride \(stride).",
        remedy: "Use a larger picture, and a stride from 1 to the window.")
    }
    let (rows, columns) = ((h - window + stride - 1) / stride + 1, (w - window + stride - 1) / stride + 1)
    let out = Tensor(uninitialised: [shape[0], rows, columns, c], .f32)
    let (x, y) = (floatPointer, out.floatPointer)
    parallel(shape[0] * rows, cost: columns * c * window * window) { range in
      for row in range {
        let (picture, top) = (row / rows, row % rows * stride)
        for column in 0..<columns {
          let to = y + (row * columns + column) * c
          let left = column * stride
          to.update(from: x + ((picture * h + top) * w + left) * c, count: c)
          for line in top..<min(h, top + window) {
            for place in left..<min(w, left + window) {
              let from = x + ((picture * h + line) * w + place) * c
              for i in 0..<c { to[i] = max(to[i], from[i]) }
            }
          }
        }
      }
    }
    return out
  }

  private func requireFloat(_ operation: String) throws(TensorError) {
    guard dtype == .f32 else {
      throw TensorError(.dtype, operation, "takes float32, found \(dtype).", remedy: "Convert it with converted(to:).")
    }
  }
}
