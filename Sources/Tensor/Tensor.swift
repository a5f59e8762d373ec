internal import CKernels
internal import Glibc

/// Element type in memory. Arithmetic is float32 in both.
public enum DType: String, Sendable, Hashable, Codable, CaseIterable {
  case f32, bf16

  /// Bytes of one element.
  public var size: Int { self == .f32 ? 4 : 2 }
  var kernel: ck_type { self == .f32 ? .CK_F32 : .CK_BF16 }
}

/// An immutable, contiguous array: images are `[B, H, W, C]`, tokens `[B, N, C]`, vectors `[B, C]`, scalars `[]`.
///
/// Copies share memory. A tensor made inside ``withGradients(_:)`` from something trainable also knows its place on the
/// tape.
public struct Tensor: Sendable {
  public let shape: [Int]
  public let dtype: DType
  let storage: Storage
  /// Its place on the tape, where gradients arrive; `nil` for constants.
  var slot: Slot?

  /// Uninitialised memory, to be filled by the operation that makes it.
  init(uninitialised shape: [Int], _ dtype: DType) {
    self.shape = shape
    self.dtype = dtype
    storage = Storage(byteCount: shape.reduce(1, *) * dtype.size)
  }

  /// Shares `other`'s memory under another shape of the same count.
  init(sharing other: Tensor, shape: [Int]) {
    self.shape = shape
    dtype = other.dtype
    storage = other.storage
  }

  /// A float32 tensor of `values`, row-major.
  /// - Throws: `TensorError` when the count differs from the shape's product.
  public init(_ values: [Float], shape: [Int]) throws(TensorError) {
    guard values.count == shape.reduce(1, *) else {
      throw TensorError(
        .shape, "Tensor", "\(values.count) values do not fill \(shape).", remedy: "Pass the shape that the values have."
      )
    }
    self.init(uninitialised: shape, .f32)
    values.withUnsafeBytes { bytes in
      if let from = bytes.baseAddress { storage.base.copyMemory(from: from, byteCount: bytes.count) }
    }
  }

  /// Copies raw little-endian elements of `dtype`.
  public init(copying bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) throws(TensorError) {
    guard bytes.count == shape.reduce(1, *) * dtype.size else {
      throw TensorError(
        .shape, "Tensor", "\(bytes.count) bytes do not fill \(shape) of \(dtype).",
        remedy: "Check the file's entry against the shape.")
    }
    self.init(uninitialised: shape, dtype)
    if let from = bytes.baseAddress { storage.base.copyMemory(from: from, byteCount: bytes.count) }
  }

  public static func zeros(_ shape: [Int], _ dtype: DType = .f32) -> Tensor {
    let out = Tensor(uninitialised: shape, dtype)
    memset(out.storage.base, 0, out.byteCount)
    return out
  }

  /// Float32 of no particular value, for weights that are loaded next: memory that nobody has written costs nothing.
  public static func unset(_ shape: [Int]) -> Tensor { Tensor(uninitialised: shape, .f32) }

  public static func full(_ shape: [Int], _ value: Float) -> Tensor {
    let out = Tensor(uninitialised: shape, .f32)
    out.floatPointer.update(repeating: value, count: out.count)
    return out
  }

  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * dtype.size }
  var base: UnsafeMutableRawPointer { storage.base }
  var floatPointer: UnsafeMutablePointer<Float> { storage.base.assumingMemoryBound(to: Float.self) }
  func pointer(at element: Int) -> UnsafeMutableRawPointer { storage.base + element * dtype.size }

  /// The elements as float32, row-major.
  public func floats() -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, n in
      if let to = buffer.baseAddress { ck_convert(dtype.kernel, base, .CK_F32, to, ck_int(count)) }
      n = count
    }
  }

  /// The one element of a scalar, or the first of anything else.
  public var scalar: Float {
    var value: Float = 0
    ck_convert(dtype.kernel, base, .CK_F32, &value, 1)
    return value
  }

  /// The raw elements, valid during `body` only.
  public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }

  /// The same values off the tape: no gradient flows through (stop-gradient).
  public var detached: Tensor {
    var copy = self
    copy.slot = nil
    return copy
  }

  /// Whether gradients arrive here.
  public var isOnTape: Bool { slot != nil }

  /// Whether both are views of the same memory: what one says, the other says.
  public func sharesMemory(with other: Tensor) -> Bool { storage === other.storage }

  /// The same values in memory of their own, off the tape.
  public func copied() -> Tensor {
    let out = Tensor(uninitialised: shape, dtype)
    out.base.copyMemory(from: base, byteCount: byteCount)
    return out
  }

  /// Replaces the contents of a tensor that its owner shares with nobody, such as an optimiser's state.
  /// - Precondition: `other` has this shape and dtype.
  package func overwrite(with other: Tensor) {
    precondition(shape == other.shape && dtype == other.dtype, "overwrite: \(shape) with \(other.shape)")
    base.copyMemory(from: other.base, byteCount: byteCount)
  }

  /// Sample `index` of a batch, `[B, …] → [1, …]`, off the tape.
  /// - Precondition: the batch has it.
  public func sample(_ index: Int) -> Tensor {
    precondition(index >= 0 && index < shape.first ?? 0, "sample: \(index) of \(shape)")
    let each = count / shape[0]
    let out = Tensor(uninitialised: [1] + shape.dropFirst(), dtype)
    out.base.copyMemory(from: pointer(at: index * each), byteCount: each * dtype.size)
    return out
  }
}
