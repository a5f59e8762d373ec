/// What went wrong in a tensor operation: which operation, with which shapes, and what to do about it.
public struct TensorError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Stable kinds, for `catch` and for tests.
  public enum Code: Sendable, Hashable { case shape, dtype, range, library, memory }
  public let code: Code
  /// The operation that refused, for example `conv2d`.
  public let operation: String
  /// Expected and found.
  public let reason: String
  /// The edit that would mend it.
  public let remedy: String

  public init(_ code: Code, _ operation: String, _ reason: String, remedy: String) {
    self.code = code
    self.operation = operation
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(operation): \(reason) \(remedy)" }
}

extension Tensor {
  /// Throws unless `self` has `rank` dimensions.
  func require(rank: Int, _ operation: String) throws(TensorError) {
    guard shape.count == rank else {
      throw TensorError(
        .shape, operation, "takes a tensor of \(rank) dimensions, found \(shape).",
        remedy: "Reshape it, or check which tensor was passed.")
    }
  }

  /// Throws unless both tensors have one shape and one dtype.
  func requireSame(as other: Tensor, _ operation: String) throws(TensorError) {
    guard shape == other.shape else {
      throw TensorError(
        .shape, operation, "takes two tensors of one shape, found \(shape) and \(other.shape).",
        remedy: "Check the level or the layer that made the second one.")
    }
    guard dtype == other.dtype else {
      throw TensorError(
        .dtype, operation, "takes two tensors of one dtype, found \(dtype) and \(other.dtype).",
        remedy: "Convert one of them with converted(to:).")
    }
  }
}
