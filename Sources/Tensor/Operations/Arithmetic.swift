internal import CKernels

extension Tensor {
  /// The same values in another dtype. On the tape.
  public func converted(to target: DType) -> Tensor {
    if target == dtype { return self }
    var out = Tensor(uninitialised: shape, target)
    let (x, output) = (detached, out)
    parallel(count, cost: 1) { range in
      ck_convert(
        x.dtype.kernel, x.pointer(at: range.lowerBound), target.kernel, output.pointer(at: range.lowerBound),
        ck_int(range.count))
    }
    guard let tape = Tape.current, let inSlot = slot else { return out }
    let from = dtype
    tape.record(&out) { (g: Tensor) throws(TensorError) in try inSlot.add(g.converted(to: from)) }
    return out
  }

  /// The same elements under another shape. On the tape.
  public func reshaped(_ newShape: [Int]) throws(TensorError) -> Tensor {
    guard newShape.reduce(1, *) == count else {
      throw TensorError(
        .shape, "reshaped", "\(shape) has \(count) elements, \(newShape) has \(newShape.reduce(1, *)).",
        remedy: "Choose a shape with as many elements.")
    }
    var out = Tensor(sharing: self, shape: newShape)
    guard let tape = Tape.current, let inSlot = slot else { return out }
    let from = shape
    tape.record(&out) { (g: Tensor) throws(TensorError) in try inSlot.add(Tensor(sharing: g, shape: from)) }
    return out
  }

  /// `a x + b y` with one factor for all. Shapes and dtypes of `x` and `y` agree.
  public static func sum(_ a: Float, _ x: Tensor, _ b: Float, _ y: Tensor) throws(TensorError) -> Tensor {
    try sum([a], x, [b], y)
  }

  public static func + (x: Tensor, y: Tensor) throws(TensorError) -> Tensor { try sum([1], x, [1], y) }
  public static func - (x: Tensor, y: Tensor) throws(TensorError) -> Tensor { try sum([1], x, [-1], y) }

  /// `aᵢ xᵢ + bᵢ yᵢ` for each sample `i` of the batch; one factor serves all where one is given.
  ///
  /// With `a = α`, `b = σ` this is the forward process, with `a = α`, `b = −σ` the clean-signal estimate.
  public static func sum(_ a: [Float], _ x: Tensor, _ b: [Float], _ y: Tensor) throws(TensorError) -> Tensor {
    try x.requireSame(as: y, "sum")
    var out = try weighted(a, x, b, y, "sum")
    guard let tape = Tape.current, x.slot != nil || y.slot != nil else { return out }
    let (xSlot, ySlot) = (x.slot, y.slot)
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      try xSlot?.add(try weighted(a, g, nil, nil, "sum"))
      try ySlot?.add(try weighted(b, g, nil, nil, "sum"))
    }
    return out
  }

  /// `aᵢ xᵢ` for each sample; one factor serves all where one is given.
  public func scaled(_ a: [Float]) throws(TensorError) -> Tensor {
    var out = try Tensor.weighted(a, self, nil, nil, "scaled")
    guard let tape = Tape.current, let inSlot = slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      try inSlot.add(try Tensor.weighted(a, g, nil, nil, "scaled"))
    }
    return out
  }

  public func scaled(_ a: Float) throws(TensorError) -> Tensor { try scaled([a]) }

  private static func weighted(
    _ a: [Float], _ x: Tensor, _ b: [Float]?, _ y: Tensor?, _ operation: String
  ) throws(TensorError) -> Tensor {
    let batch = x.shape.first ?? 1
    for factors in [a, b ?? a] where factors.count != 1 && factors.count != batch {
      throw TensorError(
        .shape, operation, "\(factors.count) factors do not fit a batch of \(batch), \(x.shape).",
        remedy: "Pass one factor, or one for each sample.")
    }
    let out = Tensor(uninitialised: x.shape, x.dtype)
    // Without factors of its own for each sample, the whole tensor is one run.
    let samples = a.count == 1 && (b?.count ?? 1) == 1 ? 1 : batch
    let each = x.count / max(1, samples)
    let chunk = min(max(1, each), 32_768)
    let chunks = (each + chunk - 1) / chunk
    parallel(samples * chunks, cost: chunk) { range in
      for index in range {
        let (i, first) = (index / chunks, index % chunks * chunk)
        let start = i * each + first
        ck_axpby(
          x.dtype.kernel, a.count == 1 ? a[0] : a[i], x.pointer(at: start),
          b.map { $0.count == 1 ? $0[0] : $0[i] } ?? 0,
          y?.pointer(at: start), out.pointer(at: start), ck_int(min(chunk, each - first)))
      }
    }
    return out
  }
}
