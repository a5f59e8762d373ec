public import Foundation

/// Writes safetensors files: the same bytes for the same tensors, the data starting at a multiple of 64.
public enum SafetensorsWriter {
  /// Writes `tensors` in the given order; an existing file is replaced only once the new one is on disk.
  /// - Parameter tensors: `data` holds little-endian elements, row-major, exactly as many as `shape` says.
  public static func write(
    _ tensors: [(name: String, dtype: SafetensorsDType, shape: [Int], data: Data)],
    metadata: [String: String] = [:], to path: String
  ) throws(BundleError) {
    var fields: [String] = []
    var names: Set<String> = ["__metadata__"]
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quote($0.key)):\(quote($0.value))" }
      fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var position = 0
    for (name, dtype, shape, data) in tensors {
      guard names.insert(name).inserted else {
        throw SafetensorsFile.error("\(path): \(name)", "The name occurs twice or is reserved.")
      }
      guard let count = dtype.byteCount(shape), count == data.count else {
        throw SafetensorsFile.error("\(path): \(name)", "\(dtype.rawValue) \(shape) is not \(data.count) bytes.")
      }
      let sizes = shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(quote(name)):{\"dtype\":\"\(dtype.rawValue)\",\"shape\":[\(sizes)],"
          + "\"data_offsets\":[\(position),\(position + count)]}")
      position += count
    }
    var header = Data("{\(fields.joined(separator: ","))}".utf8)
    header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (56 - header.count % 64 + 64) % 64))
    guard header.count <= SafetensorsFile.headerLimit else {
      throw BundleError(
        .limit, at: path, "The header takes \(header.count) bytes; at most \(SafetensorsFile.headerLimit).",
        remedy: "Write fewer tensors or shorter names.")
    }
    let file = try AtomicFile(replacing: path)
    try file.write(withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) })
    try file.write(header)
    for tensor in tensors { try file.write(tensor.data) }
    try file.finish()
  }

  private static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 0x20:
        out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
