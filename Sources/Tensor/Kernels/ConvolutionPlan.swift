internal import CDnnl
internal import CKernels
internal import Synchronization

/// One convolution problem prepared by oneDNN: kernels generated, weight layout chosen. Made once per key and kept.
///
/// Unchecked: the C object is immutable and may be used from any thread.
final class ConvolutionPlan: @unchecked Sendable {
  struct Key: Hashable, Sendable {
    var batch, height, width, inChannels, outChannels, kernel, stride, padLow, padHigh, groups: Int
    var dtype: DType
    var part: Int32
    var hasBias, addsResidual: Bool
    /// Threads that it will run with. oneDNN shares work out when a primitive is made, and some kernels wait for each other:
    /// run with fewer threads they would wait for ever.
    var threads = ck_threads()
  }

  let key: Key
  private let conv: OpaquePointer

  private static let known = Mutex<[Key: ConvolutionPlan]>([:])

  static func plan(_ key: Key) throws(TensorError) -> ConvolutionPlan {
    if let plan = known.withLock({ $0[key] }) { return plan }
    let plan = try ConvolutionPlan(key)
    return known.withLock { plans in
      if let other = plans[key] { return other }
      plans[key] = plan
      return plan
    }
  }

  private init(_ key: Key) throws(TensorError) {
    var shape = cd_conv_shape(
      batch: Int32(key.batch), height: Int32(key.height), width: Int32(key.width), in_channels: Int32(key.inChannels),
      out_channels: Int32(key.outChannels), kernel: Int32(key.kernel), stride: Int32(key.stride),
      pad_low: Int32(key.padLow), pad_high: Int32(key.padHigh), groups: Int32(key.groups))
    var made: OpaquePointer?
    let status = cd_conv_create(
      &made, &shape, key.dtype == .bf16 ? .CD_BF16 : .CD_F32, cd_part(rawValue: key.part)!, key.hasBias ? 1 : 0,
      key.addsResidual ? 1 : 0)
    guard status == CD_OK, let made else { throw Self.error(key, status) }
    self.key = key
    conv = made
  }

  deinit { cd_conv_destroy(conv) }

  var packedBytes: Int { cd_conv_packed_bytes(conv) }
  var implementation: String { String(cString: cd_conv_implementation(conv)) }

  /// Arithmetic of one call, in 10⁹ operations.
  private var gigaflop: Double {
    let height = (key.height + key.padLow + key.padHigh - key.kernel) / key.stride + 1
    let width = (key.width + key.padLow + key.padHigh - key.kernel) / key.stride + 1
    let area = Double(key.batch * height * width) * Double(key.kernel * key.kernel)
    return 2e-9 * area * Double(key.inChannels / key.groups) * Double(key.outChannels)
  }

  private var name: String {
    "\(key.dtype) \(key.batch)×\(key.height)×\(key.width) \(key.inChannels)→\(key.outChannels) \(key.kernel)×\(key.kernel)"
      + "/\(key.stride)\(key.addsResidual ? " +residual" : "") \(implementation)"
  }

  /// Whether weights packed for `other` serve this plan as they are.
  func packsLike(_ other: ConvolutionPlan) -> Bool { cd_conv_same_packing(conv, other.conv) == 1 }

  func pack(_ plain: Tensor, into storage: Storage) throws(TensorError) {
    try run("pack", gigaflop: 0) { cd_conv_pack(conv, plain.floatPointer, storage.base, $0) }
  }

  func forward(_ x: Tensor, _ weights: Storage, bias: Tensor?, residual: Tensor?, into out: Tensor) throws(TensorError)
  {
    try run("forward", gigaflop: gigaflop) {
      cd_conv_forward(conv, x.base, weights.base, bias?.floatPointer, residual?.base, out.base, $0)
    }
  }

  func backwardData(_ dout: Tensor, _ weights: Storage, into dx: Tensor) throws(TensorError) {
    try run("backward-data", gigaflop: gigaflop) { cd_conv_backward_data(conv, dout.base, weights.base, dx.base, $0) }
  }

  func backwardWeights(_ x: Tensor, _ dout: Tensor, into dweights: Tensor, _ dbias: Tensor?) throws(TensorError) {
    let packed = Storage(byteCount: packedBytes)
    try run("backward-weights", gigaflop: gigaflop) {
      cd_conv_backward_weights(
        conv, x.base, dout.base, packed.base, dweights.floatPointer, dbias?.floatPointer, $0)
    }
    withExtendedLifetime(packed) {}
  }

  /// One call with a workspace from the pool, timed.
  private func run(
    _ part: String, gigaflop: Double, _ call: (UnsafeMutableRawPointer) -> Int32
  ) throws(TensorError) {
    let workspace = Storage(byteCount: cd_conv_workspace_bytes(conv))
    let status = KernelClock.measure("\(part) \(name)", gigaflop: gigaflop) { call(workspace.base) }
    withExtendedLifetime(workspace) {}
    try check(status)
  }

  private func check(_ status: Int32) throws(TensorError) {
    guard status == CD_OK else { throw Self.error(key, status) }
  }

  private static func error(_ key: Key, _ status: Int32) -> TensorError {
    TensorError(
      status == CD_NO_MEMORY ? .memory : .library, "conv2d",
      "oneDNN \(String(cString: cd_version())) says \"\(String(cString: cd_status_text(status)))\" for \(key.dtype) "
        + "[\(key.batch), \(key.height), \(key.width), \(key.inChannels)] → \(key.outChannels) channels, "
        + "kernel \(key.kernel), stride \(key.stride).",
      remedy: key.dtype == .bf16
        ? "This CPU may lack bfloat16: use float32 (--precision f32, or precision: f32 in a recipe)."
        : "Check channels and sizes for zero or negative values.")
  }
}

/// Version of the oneDNN library in use: part of a numerics profile.
public var oneDNNVersion: String { String(cString: cd_version()) }

/// The instruction set that the fused kernels chose on this machine: part of a numerics profile.
public var instructionSet: String { String(cString: ck_isa_name()) }

/// Whether this CPU multiplies bfloat16 by itself and oneDNN may use it, so that bf16 is faster than float32.
public var hasNativeBFloat16: Bool { ck_has_bf16() == 1 && cd_has_bf16() == 1 }

extension DType {
  /// The type that networks compute with where nobody chooses: bf16 where the CPU has it.
  public static var preferred: DType { hasNativeBFloat16 ? .bf16 : .f32 }

  /// This type, or f32 for bf16 on a CPU without it.
  public var onThisCPU: DType { self == .bf16 ? .preferred : self }
}
