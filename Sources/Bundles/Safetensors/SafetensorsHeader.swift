/// What the JSON at the start of a safetensors file says.
struct SafetensorsHeader {
  struct Field {
    var dtype: SafetensorsDType
    var shape: [Int]
    /// Bytes from the start of the data.
    var begin: Int
    var end: Int
  }

  var metadata: [String: String] = [:]
  var fields: [String: Field] = [:]
  /// In the order of the data.
  var names: [String] = []
  /// Bytes from the start of the file.
  var dataStart = 0

  var elementCount: Int { fields.values.reduce(0) { $0 + ($1.end - $1.begin) / $1.dtype.size } }

  /// Reads and checks the header of a whole file's `bytes`.
  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(BundleError) {
    guard bytes.count >= 8 else {
      throw SafetensorsFile.error(path, "The file has \(bytes.count) bytes; the header's length alone takes 8.")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(SafetensorsFile.headerLimit) else {
      throw SafetensorsFile.error(path, "The header's length is \(length); at most \(SafetensorsFile.headerLimit).")
    }
    dataStart = 8 + Int(length)
    guard bytes.count >= dataStart else {
      throw SafetensorsFile.error(
        path, "The header's length is \(length), but the file ends after \(bytes.count) bytes.")
    }
    var scanner = HeaderScanner(UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]), path: path)
    (metadata, fields) = try scanner.header()
    names = try check(dataCount: bytes.count - dataStart, path)
  }

  /// Refuses holes, overlaps, and sizes that do not fit; returns the names in the order of their data.
  private func check(dataCount: Int, _ path: String) throws(BundleError) -> [String] {
    // Tensors without elements share their offset with the next one; the name makes their order definite.
    let order = fields.sorted { ($0.value.begin, $0.value.end, $0.key) < ($1.value.begin, $1.value.end, $1.key) }
    var position = 0
    for (name, field) in order {
      let place = "\(path): \(name)"
      guard field.begin == position else {
        throw SafetensorsFile.error(
          place, "Its data start at \(field.begin); the data before it end at \(position), and must touch.")
      }
      guard field.end >= field.begin, field.dtype.byteCount(field.shape) == field.end - field.begin else {
        throw SafetensorsFile.error(
          place, "\(field.dtype.rawValue) \(field.shape) does not fill bytes \(field.begin)..<\(field.end).")
      }
      position = field.end
    }
    guard position == dataCount else {
      throw SafetensorsFile.error(path, "The tensors fill \(position) bytes, but \(dataCount) follow the header.")
    }
    return order.map(\.key)
  }
}

/// Reads the header's JSON and nothing else: objects of known fields, texts, and whole numbers.
struct HeaderScanner {
  private let bytes: UnsafeRawBufferPointer
  private let path: String
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer, path: String) {
    self.bytes = bytes
    self.path = path
  }

  mutating func header() throws(BundleError) -> ([String: String], [String: SafetensorsHeader.Field]) {
    guard bytes.first == UInt8(ascii: "{") else { throw error("The header does not start with \"{\".") }
    var metadata: [String: String] = [:]
    var fields: [String: SafetensorsHeader.Field] = [:]
    try object { (scanner: inout HeaderScanner, name) throws(BundleError) in
      if name == "__metadata__" {
        try scanner.object { (scanner: inout HeaderScanner, key) throws(BundleError) in
          metadata[key] = try scanner.string()
        }
      } else {
        fields[name] = try scanner.field(name)
      }
    }
    skipSpace()
    guard position == bytes.count else { throw error("Something follows the header's closing brace.") }
    return (metadata, fields)
  }

  private mutating func field(_ name: String) throws(BundleError) -> SafetensorsHeader.Field {
    var dtype: SafetensorsDType?
    var shape: [Int]?
    var offsets: [Int]?
    try object { (scanner: inout HeaderScanner, key) throws(BundleError) in
      switch key {
      case "dtype":
        let type = try scanner.string()
        dtype = SafetensorsDType(rawValue: type)
        guard dtype != nil else {
          let known = SafetensorsDType.allCases.map(\.rawValue).joined(separator: ", ")
          throw scanner.error("\"\(name)\" has elements of type \"\(type)\"; known are \(known).")
        }
      case "shape": shape = try scanner.integers()
      case "data_offsets": offsets = try scanner.integers()
      default: throw scanner.error("\"\(name)\" has the unknown field \"\(key)\".")
      }
    }
    guard let dtype, let shape, let offsets, offsets.count == 2 else {
      throw error("\"\(name)\" needs dtype, shape, and two data_offsets.")
    }
    return SafetensorsHeader.Field(dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
  }

  /// An object; `body` reads the value of each key.
  private mutating func object(
    _ body: (inout HeaderScanner, String) throws(BundleError) -> Void
  ) throws(BundleError) {
    try expect("{")
    var seen: Set<String> = []
    if take("}") { return }
    repeat {
      skipSpace()
      let key = try string()
      guard seen.insert(key).inserted else { throw error("The key \"\(key)\" occurs twice.") }
      try expect(":")
      skipSpace()
      try body(&self, key)
    } while take(",")
    try expect("}")
  }

  private mutating func integers() throws(BundleError) -> [Int] {
    try expect("[")
    var values: [Int] = []
    if take("]") { return values }
    repeat { values.append(try integer()) } while take(",")
    try expect("]")
    return values
  }

  /// A number without sign, fraction, exponent, or leading zeros that fits into `Int`.
  private mutating func integer() throws(BundleError) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10 {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = tens.addingReportingOverflow(Int(digit))
      guard !overflow, !overflow2 else { throw error("A number is too large.") }
      value = sum
      position += 1
    }
    guard position > start, position == start + 1 || bytes[start] != UInt8(ascii: "0") else {
      throw error("A whole number was expected.")
    }
    return value
  }

  private mutating func string() throws(BundleError) -> String {
    guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw error("A text was expected.") }
    position += 1
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let valid = String(validating: text, as: UTF8.self) else { throw error("A text is not UTF-8.") }
        return valid
      case UInt8(ascii: "\\"): text += try escape()
      case 0..<0x20: throw error("A text holds a control character.")
      default: text.append(byte)
      }
    }
    throw error("A text does not end.")
  }

  private mutating func escape() throws(BundleError) -> [UInt8] {
    guard position < bytes.count else { throw error("A text does not end.") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"): return try unicode()
    default: throw error("A text holds an unknown escape.")
    }
  }

  private mutating func unicode() throws(BundleError) -> [UInt8] {
    var units = [try codeUnit()]
    if UTF16.isLeadSurrogate(units[0]), position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
      bytes[position + 1] == UInt8(ascii: "u")
    {
      position += 2
      units.append(try codeUnit())
    }
    guard let text = String(validating: units, as: UTF16.self) else { throw error("A text holds half a surrogate.") }
    return Array(text.utf8)
  }

  private mutating func codeUnit() throws(BundleError) -> UInt16 {
    guard position + 4 <= bytes.count else { throw error("A text does not end.") }
    let digits = bytes[position..<position + 4]
    position += 4
    guard digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit && $0 < 0x80 }),
      let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw error("A text holds an unknown escape.") }
    return value
  }

  private mutating func skipSpace() {
    while position < bytes.count, case let byte = bytes[position],
      byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(BundleError) {
    guard take(character) else { throw error("\"\(character)\" was expected.") }
  }

  private func error(_ reason: String) -> BundleError {
    SafetensorsFile.error("\(path): header byte \(8 + position)", reason)
  }
}
