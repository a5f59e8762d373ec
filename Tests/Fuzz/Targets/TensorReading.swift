internal import Bundles
internal import Foundation

/// Opens a safetensors file and touches every tensor.
enum TensorReading {
  static func run(_ input: Data) throws -> Int {
    let file = try MemoryFile(input)
    return try refusing {
      let tensors = try SafetensorsFile(path: file.path)
      try promise(Set(tensors.names).count == tensors.names.count, "a name occurs twice")
      var (bytes, elements) = (0, 0)
      for name in tensors.names {
        let entry = try tensors.entry(name)
        try promise(
          entry.dtype.byteCount(entry.shape) == entry.bytes.count, "\(name) is longer or shorter than its shape")
        // The ends of what it says it has.
        entry.withBytes { part in
          for place in [0, part.count - 1] where part.indices.contains(place) { _ = part[place] }
        }
        bytes += entry.bytes.count
        elements += entry.bytes.count / entry.dtype.size
      }
      try promise(bytes + 8 <= input.count, "the tensors have \(bytes) bytes, the file \(input.count)")
      try promise(elements == tensors.elementCount, "\(elements) elements were counted as \(tensors.elementCount)")
      try tensors.checkFinite()
    }
  }
}
