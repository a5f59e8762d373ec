public import Bundles
public import Foundation
public import Tensor

/// Parameters to and from safetensors files: every tensor matches, or nothing is loaded.
public enum Weights {
  /// Loads every parameter from the tensor `prefix + name`.
  /// - Throws: `BundleError` naming the first tensor that is missing, has another shape, or is left over.
  public static func load(
    _ parameters: [Parameter], from file: SafetensorsFile, prefix: String = ""
  ) throws(BundleError) {
    var left = Set(file.names.filter { $0.hasPrefix(prefix) })
    var values: [(Parameter, Tensor)] = []
    for parameter in parameters {
      let name = prefix + parameter.name
      values.append((parameter, try tensor(name, shape: parameter.shape, in: file)))
      left.remove(name)
    }
    if let stranger = left.min() {
      throw BundleError(
        .wrongShape, at: "\(file.path): \(stranger)", "The network has no such tensor (\(left.count) left over).",
        remedy: "Check the network's configuration against these weights.")
    }
    for (parameter, value) in values {
      do { try parameter.assign(value) } catch {
        throw BundleError(.wrongShape, at: file.path, error.description, remedy: "Check the configuration.")
      }
    }
  }

  /// One tensor of a file, in its stored dtype.
  public static func tensor(_ name: String, shape: [Int], in file: SafetensorsFile) throws(BundleError) -> Tensor {
    let entry = try file.entry(name)
    guard entry.shape == shape else {
      throw BundleError(
        .wrongShape, at: "\(file.path): \(name)", "The file has \(entry.shape), the network \(shape).",
        remedy: "Use the weights that were made for this configuration.")
    }
    let dtype: DType
    switch entry.dtype {
    case .f32: dtype = .f32
    case .bf16: dtype = .bf16
    default:
      throw BundleError(
        .wrongShape, at: "\(file.path): \(name)", "The tensor is \(entry.dtype.rawValue); weights are F32 or BF16.",
        remedy: "Convert it.")
    }
    do {
      return try entry.withBytes { (bytes: UnsafeRawBufferPointer) throws(TensorError) in
        try Tensor(copying: bytes, shape: shape, dtype: dtype)
      }
    } catch {
      throw BundleError(.wrongShape, at: "\(file.path): \(name)", error.description, remedy: "Download it again.")
    }
  }

  /// Tensors ready for `SafetensorsWriter`.
  public static func entries(
    _ tensors: [(name: String, tensor: Tensor)], as dtype: DType? = nil
  ) -> [(name: String, dtype: SafetensorsDType, shape: [Int], data: Data)] {
    tensors.map { name, tensor in
      let value = dtype.map { tensor.converted(to: $0) } ?? tensor
      return (name, value.dtype == .f32 ? .f32 : .bf16, value.shape, value.withBytes { Data($0) })
    }
  }
}
