/// A tensor's place on the tape.
final class Slot: @unchecked Sendable {
  /// The sum of the gradients that have arrived so far.
  var gradient: Tensor?

  func add(_ g: Tensor) throws(TensorError) {
    gradient = if let gradient { try add1(gradient, g) } else { g.detached }
  }

  /// What has arrived so far where it has the shape and dtype of `other`, for an operation that adds it to its own share
  /// while it makes that.
  func takeGradient(like other: Tensor) -> Tensor? {
    guard let found = gradient, found.shape == other.shape, found.dtype == other.dtype else { return nil }
    gradient = nil
    return found
  }

  private func add1(_ a: Tensor, _ b: Tensor) throws(TensorError) -> Tensor {
    try Tape.paused { () throws(TensorError) in try Tensor.sum(1, a, 1, b) }
  }
}

/// The record of what was computed inside ``withGradients(_:)``, in order, so that gradients can be sent back.
///
/// Frozen parameters and constants are not on it: nothing is kept or computed for them. Unchecked: a tape lives and dies
/// inside one call on one thread.
final class Tape: @unchecked Sendable {
  typealias Backward = (Tensor) throws(TensorError) -> Void
  private struct Entry {
    let output: Slot
    let backward: Backward
  }
  private var entries: [Entry] = []
  private var parameters: [ObjectIdentifier: (parameter: Parameter, slot: Slot)] = [:]

  @TaskLocal static var current: Tape?

  /// Runs `body` without recording.
  static func paused<R>(_ body: () throws(TensorError) -> R) throws(TensorError) -> R {
    if current == nil { return try body() }
    let result: Result<R, TensorError> = $current.withValue(nil) {
      do throws(TensorError) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Where `parameter`'s gradient goes; `nil` when it is frozen.
  func slot(for parameter: Parameter) -> Slot? {
    guard parameter.isTrainable else { return nil }
    if let known = parameters[ObjectIdentifier(parameter)] { return known.slot }
    let slot = Slot()
    parameters[ObjectIdentifier(parameter)] = (parameter, slot)
    return slot
  }

  /// Puts `output` on the tape: when its gradient is known, `backward` passes it on.
  func record(_ output: inout Tensor, _ backward: @escaping Backward) {
    let slot = Slot()
    output.slot = slot
    entries.append(Entry(output: slot, backward: backward))
  }

  /// Sends `1` back from `loss`, freeing each entry's activations as soon as they are used.
  func backward(from loss: Tensor) throws(TensorError) -> Gradients {
    guard let slot = loss.slot else {
      throw TensorError(
        .range, "withGradients", "the loss depends on no trainable parameter.",
        remedy: "Mark the parameters to train with isTrainable = true.")
    }
    slot.gradient = Tensor.full(loss.shape, 1)
    while let entry = entries.popLast() {
      guard let gradient = entry.output.gradient else { continue }
      entry.output.gradient = nil
      try entry.backward(gradient)
    }
    var found: [ObjectIdentifier: Tensor] = [:]
    for (id, entry) in parameters { found[id] = entry.slot.gradient }
    return Gradients(tensors: found)
  }
}

/// Gradients by parameter.
public struct Gradients: Sendable {
  var tensors: [ObjectIdentifier: Tensor]

  /// The gradient of `parameter`, of its shape, float32; `nil` when the loss does not depend on it or it is frozen.
  public subscript(parameter: Parameter) -> Tensor? { tensors[ObjectIdentifier(parameter)] }
}

/// Runs `body`, which returns a scalar loss, and returns that loss with its gradient for every trainable parameter used.
public func withGradients(_ body: () throws -> Tensor) throws -> (loss: Tensor, gradients: Gradients) {
  let tape = Tape()
  let loss = try Tape.$current.withValue(tape) { try body() }
  return (loss.detached, try tape.backward(from: loss))
}

/// Runs `body` off the tape: a target network's pass, or a sample drawn while training.
public func withoutGradients<R>(_ body: () throws -> R) rethrows -> R {
  try Tape.$current.withValue(nil) { try body() }
}
