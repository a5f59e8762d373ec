internal import CKernels
internal import Copenblas

extension Tensor {
  /// Every position looks at every position of its sample: `softmax(q kᵀ / √d) v` for each head (arXiv:1706.03762v7, Eq. 1).
  ///
  /// `[B, …, 3C] → [B, …, C]`: channels hold queries, keys and values, head after head in each, `d = C / heads`. Scores are
  /// never in memory as a whole; sums are float32.
  public func selfAttention(heads: Int) throws(TensorError) -> Tensor {
    let width = shape.last ?? 0
    guard shape.count >= 3, heads > 0, width % (3 * heads) == 0 else {
      throw TensorError(
        .shape, "selfAttention", "\(shape) does not hold queries, keys and values of \(heads) heads.",
        remedy: "The last dimension must be a multiple of \(3 * max(1, heads)).")
    }
    let plan = AttentionPlan(
      batch: shape[0], queries: positions, keys: positions, heads: heads, width: width / 3 / heads, queryStride: width,
      keyStride: width, keyOffset: width / 3)
    var out = Tensor(uninitialised: shape.dropLast() + [width / 3], dtype)
    plan.forward(self, self, into: out)
    guard let tape = Tape.current, let inSlot = slot else { return out }
    let x = detached
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, .f32)
      plan.backward(x.converted(to: .f32), x.converted(to: .f32), g.converted(to: .f32), dx, dx)
      try inSlot.add(dx.converted(to: x.dtype))
    }
    return out
  }

  /// Every position looks at every token of a context: queries `[B, …, C]`, `context` `[B, M, 2C]` with keys, then values.
  /// one context serves the whole batch when its `B` is 1. Otherwise as ``selfAttention(heads:)``.
  public func attending(to context: Tensor, heads: Int) throws(TensorError) -> Tensor {
    let c = shape.last ?? 0
    guard shape.count >= 3, heads > 0, c % heads == 0, context.shape.count >= 3, context.shape.last == 2 * c,
      context.shape[0] == shape[0], context.dtype == dtype
    else {
      throw TensorError(
        .shape, "attending",
        "queries \(shape) of \(dtype) in \(heads) heads do not fit a context of \(context.shape), \(context.dtype).",
        remedy: "Pass a context [\(shape.first ?? 0), tokens, \(2 * c)]: keys, then values.")
    }
    let plan = AttentionPlan(
      batch: shape[0], queries: positions, keys: context.positions, heads: heads, width: c / heads, queryStride: c,
      keyStride: 2 * c, keyOffset: 0)
    var out = Tensor(uninitialised: shape, dtype)
    plan.forward(self, context, into: out)
    guard let tape = Tape.current, slot != nil || context.slot != nil else { return out }
    let (x, y, inSlot, contextSlot) = (detached, context.detached, slot, context.slot)
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let (dx, dy) = (Tensor(uninitialised: x.shape, .f32), Tensor(uninitialised: y.shape, .f32))
      plan.backward(x.converted(to: .f32), y.converted(to: .f32), g.converted(to: .f32), dx, dy)
      try inSlot?.add(dx.converted(to: x.dtype))
      try contextSlot?.add(dy.converted(to: y.dtype))
    }
    return out
  }

  /// Positions of one sample, `[B, …, C]`.
  private var positions: Int { shape.dropFirst().dropLast().reduce(1, *) }
}

/// Sizes and places of one attention; keys lie `keyOffset` channels into their rows, values `heads · width` further on.
private struct AttentionPlan: Sendable {
  let batch, queries, keys, heads, width: Int
  let queryStride, keyStride, keyOffset: Int
  var channels: Int { heads * width }
  var scale: Float { 1 / Float(width).squareRoot() }

  private func query(_ b: Int, _ h: Int, _ row: Int = 0) -> Int { (b * queries + row) * queryStride + h * width }
  private func key(_ b: Int, _ h: Int) -> Int { b * keys * keyStride + keyOffset + h * width }
  private func value(_ b: Int, _ h: Int) -> Int { key(b, h) + channels }
  private func result(_ b: Int, _ h: Int, _ row: Int = 0) -> Int { (b * queries + row) * channels + h * width }

  func forward(_ x: Tensor, _ y: Tensor, into out: Tensor) {
    let arithmetic = 4e-9 * Double(batch * heads) * Double(queries) * Double(keys) * Double(width)
    KernelClock.note("attention \(x.dtype) \(batch)×\(heads) heads \(queries)×\(keys)×\(width)", gigaflop: arithmetic) {
      run(x, y, into: out)
    }
  }

  private func run(_ x: Tensor, _ y: Tensor, into out: Tensor) {
    if x.dtype == .bf16, ck_has_attention(ck_int(width)) == 1 {
      onDotProducts(x, y, into: out)
    } else if x.dtype == .f32 {
      onBLAS(x, y, into: out)
    } else {
      let wide = Tensor(uninitialised: out.shape, .f32)
      onBLAS(x.converted(to: .f32), y.converted(to: .f32), into: wide)
      let narrow = wide.converted(to: out.dtype)
      out.base.copyMemory(from: narrow.base, byteCount: out.byteCount)
    }
  }

  private func onDotProducts(_ x: Tensor, _ y: Tensor, into out: Tensor) {
    let each = (ck_attention_packed_bytes(ck_int(keys), ck_int(width)) + 63) & ~63
    let packed = Storage(byteCount: batch * heads * each)
    parallel(batch * heads, cost: 2 * keys * width) { range in
      for index in range {
        let (b, h) = (index / heads, index % heads)
        ck_attention_pack(
          y.pointer(at: key(b, h)), y.pointer(at: value(b, h)), ck_int(keyStride), ck_int(keys), ck_int(width),
          packed.base + index * each)
      }
    }
    let block = Int(ck_attention_block())
    let blocks = (queries + block - 1) / block
    parallel(batch * heads * blocks, cost: 2 * block * keys * width) { range in
      for index in range {
        let (head, first) = (index / blocks, index % blocks * block)
        let (b, h) = (head / heads, head % heads)
        ck_attention(
          x.pointer(at: query(b, h, first)), ck_int(queryStride), packed.base + head * each, ck_int(keys), scale,
          out.pointer(at: result(b, h, first)), ck_int(channels), ck_int(min(block, queries - first)), ck_int(width))
      }
    }
    withExtendedLifetime(packed) {}
  }

  /// Queries of one block, whose scores are in memory together.
  private static let block = 128

  /// A float32 matrix and how far its rows lie apart.
  private struct Matrix {
    let base: UnsafeMutablePointer<Float>
    let stride: Int
    var isTransposed = false

    init(_ base: UnsafeMutablePointer<Float>, _ stride: Int) { (self.base, self.stride) = (base, stride) }

    var transposed: Matrix {
      var other = self
      other.isTransposed.toggle()
      return other
    }
  }

  /// `c = a b + beta c` on this thread; `a` is `m × k`, `b` is `k × n`.
  private func multiply(_ a: Matrix, _ b: Matrix, into c: Matrix, _ m: Int, _ n: Int, _ k: Int, beta: Float = 0) {
    cblas_sgemm(
      CblasRowMajor, a.isTransposed ? CblasTrans : CblasNoTrans, b.isTransposed ? CblasTrans : CblasNoTrans, Int32(m),
      Int32(n), Int32(k), 1, a.base, Int32(a.stride), b.base, Int32(b.stride), beta, c.base, Int32(c.stride))
  }

  private func onBLAS(_ x: Tensor, _ y: Tensor, into out: Tensor) {
    let blocks = (queries + Self.block - 1) / Self.block
    parallel(batch * heads * blocks, cost: 2 * Self.block * keys * width) { range in
      onThisThread {
        let scores = Tensor(uninitialised: [Self.block, keys], .f32)
        let p = Matrix(scores.floatPointer, keys)
        for index in range {
          let (head, first) = (index / blocks, index % blocks * Self.block)
          let (b, h, n) = (head / heads, head % heads, min(Self.block, queries - first))
          let q = Matrix(x.floatPointer + query(b, h, first), queryStride)
          let (k, v) = (
            Matrix(y.floatPointer + key(b, h), keyStride), Matrix(y.floatPointer + value(b, h), keyStride)
          )
          multiply(q, k.transposed, into: p, n, keys, width)
          ck_softmax_rows(p.base, scale, ck_int(n), ck_int(keys), ck_int(keys))
          multiply(p, v, into: Matrix(out.floatPointer + result(b, h, first), channels), n, width, keys)
        }
      }
    }
  }

  /// Writes the gradients of queries to `dx`, of keys and values to `dy`, in the places of `x` and `y`; all float32.
  func backward(_ x: Tensor, _ y: Tensor, _ dout: Tensor, _ dx: Tensor, _ dy: Tensor) {
    parallel(batch * heads, cost: 8 * queries * keys * width) { range in
      onThisThread {
        let space = Tensor(uninitialised: [2, Self.block, keys], .f32)
        let (p, dp) = (Matrix(space.floatPointer, keys), Matrix(space.floatPointer + Self.block * keys, keys))
        for index in range {
          let (b, h) = (index / heads, index % heads)
          let (k, v) = (
            Matrix(y.floatPointer + key(b, h), keyStride), Matrix(y.floatPointer + value(b, h), keyStride)
          )
          let (dk, dv) = (
            Matrix(dy.floatPointer + key(b, h), keyStride), Matrix(dy.floatPointer + value(b, h), keyStride)
          )
          for first in stride(from: 0, to: queries, by: Self.block) {
            let (n, beta): (Int, Float) = (min(Self.block, queries - first), first == 0 ? 0 : 1)
            let q = Matrix(x.floatPointer + query(b, h, first), queryStride)
            let g = Matrix(dout.floatPointer + result(b, h, first), channels)
            multiply(q, k.transposed, into: p, n, keys, width)
            ck_softmax_rows(p.base, scale, ck_int(n), ck_int(keys), ck_int(keys))
            multiply(g, v.transposed, into: dp, n, keys, width)
            multiply(p.transposed, g, into: dv, keys, width, n, beta: beta)
            ck_softmax_rows_backward(p.base, dp.base, scale, ck_int(n), ck_int(keys), ck_int(keys))
            multiply(dp, k, into: Matrix(dx.floatPointer + query(b, h, first), queryStride), n, width, keys)
            multiply(dp.transposed, q, into: dk, keys, width, n, beta: beta)
          }
        }
      }
    }
  }
}
