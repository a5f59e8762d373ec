extension Gradients {
  /// Lets `exchange` change the gradients of `parameters`, and `numbers`, all in one row: the numbers, then each gradient in
  /// order. For processes that train together.
  package mutating func exchange<E: Error>(
    of parameters: [Parameter], with numbers: inout [Float],
    _ exchange: (UnsafeMutableBufferPointer<Float>) throws(E) -> Void
  ) throws(E) {
    var row = numbers
    for parameter in parameters { row += self[parameter]?.floats() ?? [] }
    var failure: E?
    row.withUnsafeMutableBufferPointer { row in
      do throws(E) { try exchange(row) } catch { failure = error }
    }
    if let failure { throw failure }
    numbers = Array(row.prefix(numbers.count))
    var start = numbers.count
    for parameter in parameters {
      guard let old = self[parameter] else { continue }
      let new = Tensor(uninitialised: old.shape, .f32)
      row.withUnsafeBufferPointer { row in
        if let from = row.baseAddress { new.floatPointer.update(from: from + start, count: new.count) }
      }
      start += new.count
      tensors[ObjectIdentifier(parameter)] = new
    }
  }
}
