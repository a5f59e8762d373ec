internal import CKernels
internal import Synchronization

/// One named weight: a float32 master copy, and packed forms of it for the convolutions that use it.
///
/// Unchecked: `value` changes only through `update`, which training calls on its one compute thread; a frozen parameter
/// never changes and may be shared by everybody.
public final class Parameter: @unchecked Sendable {
  public let name: String
  /// Float32. Convolution weights are `[O, I, K, K]`, linear ones `[O, I]`, everything else `[C]`.
  public private(set) var value: Tensor
  /// Frozen parameters get no gradient, and nothing is recorded for them.
  public var isTrainable: Bool
  /// Counts the changes of the value.
  public private(set) var version = 0
  private let packed = Mutex(PackedForms())

  /// The value in each layout that some convolution wants. Plans for many picture sizes mostly share a few layouts.
  private struct PackedForms {
    struct Form {
      let plan: ConvolutionPlan
      var version: Int
      let storage: Storage
    }
    var forms: [Form] = []
    /// Index into `forms`.
    var known: [ConvolutionPlan.Key: Int] = [:]
  }

  public init(name: String, _ value: Tensor, isTrainable: Bool = true) {
    self.name = name
    self.value = value.dtype == .f32 ? value.detached : value.converted(to: .f32)
    self.isTrainable = isTrainable
  }

  public var shape: [Int] { value.shape }

  /// The value as an ordinary tensor, on the tape where one is recording and the parameter is trainable.
  public var tensor: Tensor {
    var tensor = value
    tensor.slot = Tape.current?.slot(for: self)
    return tensor
  }

  /// Replaces the value, for example from a checkpoint.
  public func assign(_ newValue: Tensor) throws(TensorError) {
    guard newValue.shape == shape else {
      throw TensorError(
        .shape, "Parameter \(name)", "holds \(shape), was given \(newValue.shape).",
        remedy: "Load weights that were made for this network.")
    }
    value = newValue.dtype == .f32 ? newValue.detached : newValue.converted(to: .f32)
    version += 1
  }

  /// Lets an optimiser write the master copy in place; packed forms are made anew when next asked for.
  func update(_ body: (UnsafeMutablePointer<Float>) -> Void) {
    body(value.floatPointer)
    version += 1
  }

  /// The weights in `plan`'s layout, made once for each version of the value.
  func packed(for plan: ConvolutionPlan) throws(TensorError) -> Storage {
    let now = version
    let value = value
    return try packed.withLock { (packed) throws(TensorError) in
      let index = packed.known[plan.key] ?? packed.forms.firstIndex { plan.packsLike($0.plan) } ?? packed.forms.count
      packed.known[plan.key] = index
      if index == packed.forms.count {
        packed.forms.append(.init(plan: plan, version: -1, storage: Storage(byteCount: plan.packedBytes)))
      }
      if packed.forms[index].version != now {
        try plan.pack(value, into: packed.forms[index].storage)
        packed.forms[index].version = now
      }
      return packed.forms[index].storage
    }
  }
}
