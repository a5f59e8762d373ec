public import Bundles
internal import Foundation
public import Networks
internal import Tensor

extension Weights {
  /// Loads a ``UNetConfiguration/Grouped`` network from a safetensors file in the layout of PyTorch's diffusers, such as
  /// Stable Diffusion 1.5's `unet/diffusion_pytorch_model.safetensors`; F32 or BF16.
  /// - Throws: `BundleError` naming the first tensor that is missing, has another size, or is left over.
  public static func loadDiffusers(_ network: UNet, from file: SafetensorsFile) throws(BundleError) {
    var left = Set(file.names)
    for (parameter, names) in network.diffusersNames {
      var values: [Tensor] = []
      for name in names {
        let entry = try file.entry(name)
        values.append(try tensor(name, shape: entry.shape, in: file).converted(to: .f32))
        left.remove(name)
      }
      let rows = names.compactMap { file[$0]?.shape.first }.reduce(0, +)
      let inputs = parameter.shape.dropFirst()
      guard rows == parameter.shape[0],
        names.allSatisfy({ file[$0].map { $0.shape.dropFirst().reduce(1, *) } == inputs.reduce(1, *) })
      else {
        throw BundleError(
          .wrongShape, at: "\(file.path): \(names.joined(separator: ", "))",
          "The file has \(names.compactMap { file[$0]?.shape }), the network's \(parameter.name) is \(parameter.shape).",
          remedy: "Check the network's configuration against these weights.")
      }
      do throws(TensorError) {
        try parameter.assign(
          try values.count == 1
            ? values[0].reshaped(parameter.shape) : Tensor(values.flatMap { $0.floats() }, shape: parameter.shape))
      } catch {
        throw BundleError(.wrongShape, at: file.path, error.description, remedy: "Check the configuration.")
      }
    }
    if let stranger = left.min() {
      throw BundleError(
        .wrongShape, at: "\(file.path): \(stranger)", "The network has no such tensor (\(left.count) left over).",
        remedy: "Check the network's configuration against these weights.")
    }
  }
}
