/// Element types that bundles use; raw values are the names in the file.
public enum SafetensorsDType: String, Sendable, Hashable, CaseIterable, Codable {
  case f32 = "F32"
  case bf16 = "BF16"
  case f16 = "F16"
  case u8 = "U8"
  case i32 = "I32"
  case i64 = "I64"

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .u8: 1
    case .bf16, .f16: 2
    case .f32, .i32: 4
    case .i64: 8
    }
  }

  /// Bytes of a tensor of `shape`, or nil when a dimension is negative or the product overflows.
  public func byteCount(_ shape: [Int]) -> Int? {
    var count = size
    // A zero makes the product zero, but must not hide an overflow from readers that multiply in another order.
    for dimension in shape {
      guard dimension >= 0 else { return nil }
      let (next, overflow) = count.multipliedReportingOverflow(by: dimension == 0 ? 1 : dimension)
      guard !overflow else { return nil }
      count = next
    }
    return shape.contains(0) ? 0 : count
  }
}

/// A safetensors file, mapped read-only and shared between processes; strict about the format.
///
/// Refused: headers over 16 MiB, duplicate keys, unknown fields and element types, holes, overlaps, bytes outside
/// every tensor. Values may still be NaN: see `checkFinite()`.
public final class SafetensorsFile: Sendable {
  /// One tensor; keeps its file mapped for as long as it lives.
  public struct Entry: Sendable {
    public let name: String
    public let dtype: SafetensorsDType
    public let shape: [Int]
    /// The file this entry is a part of.
    public let file: SafetensorsFile
    fileprivate let range: Range<Int>

    /// The little-endian elements, row-major; aligned to 1 only.
    ///
    /// Valid while the file object lives, which ends after its last use: hold it in a property, or use `withBytes`.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.map.bytes[range]) }

    /// Calls `body` with the bytes, which live as long as the call.
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
      defer { withExtendedLifetime(file) {} }
      return try body(bytes)
    }
  }

  public static let headerLimit = 16 << 20

  public let path: String
  /// The names of all tensors, in the order of their data.
  public let names: [String]
  public let metadata: [String: String]
  private let map: MappedFile
  private let fields: [String: SafetensorsHeader.Field]
  private let dataStart: Int

  /// Elements of all tensors together.
  public let elementCount: Int

  /// Maps and checks the file; reads the header only.
  public init(path: String) throws(BundleError) {
    self.path = path
    map = try MappedFile(path: path)
    let header = try SafetensorsHeader(map.bytes, path: path)
    names = header.names
    fields = header.fields
    metadata = header.metadata
    dataStart = header.dataStart
    elementCount = header.elementCount
  }

  /// The tensor called `name`, if there is one.
  public subscript(name: String) -> Entry? {
    fields[name].map {
      Entry(
        name: name, dtype: $0.dtype, shape: $0.shape, file: self,
        range: dataStart + $0.begin..<dataStart + $0.end)
    }
  }

  /// The tensor called `name`; its absence is an error that names the nearest one.
  public func entry(_ name: String) throws(BundleError) -> Entry {
    if let entry = self[name] { return entry }
    let near = Options.nearest(to: name, among: names).map { " The nearest name is \"\($0)\"." } ?? ""
    throw BundleError(
      .missingTensor, at: path, "There is no tensor \"\(name)\" among \(names.count).\(near)",
      remedy: "Use the file this network was saved to.")
  }

  /// Refuses files that hold a NaN or an infinity, naming the tensor.
  public func checkFinite() throws(BundleError) {
    defer { withExtendedLifetime(self) {} }
    for entry in names.compactMap({ self[$0] }) {
      let bytes = entry.bytes
      // A value is not finite when all bits of its exponent are set.
      let finite: Bool =
        switch entry.dtype {
        case .u8, .i32, .i64: true
        case .f32: SafetensorsFile.isFinite(bytes, exponent: UInt32(0x7F80_0000))
        case .bf16: SafetensorsFile.isFinite(bytes, exponent: UInt16(0x7F80))
        case .f16: SafetensorsFile.isFinite(bytes, exponent: UInt16(0x7C00))
        }
      guard finite else {
        throw BundleError(
          .notFinite, at: "\(path): \(entry.name)", "The tensor holds a NaN or an infinity.",
          remedy: "Ask the publisher for sound weights, or train from an earlier checkpoint.")
      }
    }
  }

  private static func isFinite<T: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: UnsafeRawBufferPointer, exponent: T
  ) -> Bool {
    stride(from: 0, to: bytes.count, by: MemoryLayout<T>.size).allSatisfy { offset in
      T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self)) & exponent != exponent
    }
  }

  static func error(_ location: String, _ reason: String) -> BundleError {
    BundleError(.badTensorFile, at: location, reason, remedy: "Write the file anew, or fetch it again.")
  }
}
