extension YAML {
  /// Writes `node` in block style, the same text every time; it parses back to an equal node.
  ///
  /// Sequences of scalars that fit on a line, and empty collections, are written in flow style.
  public static func write(_ node: Node) -> String {
    var text = ""
    switch node.value {
    case .mapping, .sequence: block(node, indent: 0, into: &text)
    case .scalar: text = scalar(node)
    }
    if text.last != "\n" { text += "\n" }
    return text
  }

  /// What a plain scalar means to a reader that guesses types.
  enum PlainKind { case null, boolean, integer, number, string }

  static func plainKind(_ text: String) -> PlainKind {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "false": return .boolean
    case ".inf", "-.inf", "+.inf", ".nan": return .number
    default: break
    }
    // Words that older readers take for booleans count as booleans here only for quoting; nobody decodes them.
    if ["yes", "no", "on", "off", "y", "n", "true", "false"].contains(text.lowercased()) { return .boolean }
    var rest = Substring(text)
    if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
    let whole = rest.prefix { $0.isASCII && $0.isNumber }
    rest.removeFirst(whole.count)
    if rest.isEmpty { return whole.isEmpty ? .string : .integer }
    var digits = whole.count
    if rest.first == "." {
      rest.removeFirst()
      let fraction = rest.prefix { $0.isASCII && $0.isNumber }
      digits += fraction.count
      rest.removeFirst(fraction.count)
    }
    guard digits > 0 else { return .string }
    if rest.first == "e" || rest.first == "E" {
      rest.removeFirst()
      if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
      guard !rest.isEmpty, rest.allSatisfy({ $0.isASCII && $0.isNumber }) else { return .string }
      return .number
    }
    return rest.isEmpty ? .number : .string
  }

  /// Whether `text` may stand without quotes as a key or a value, in block and in flow style.
  static func isPlain(_ text: String) -> Bool {
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return false }
    if "-?:,[]{}#&*!|>'\"%@` ".unicodeScalars.contains(first), !(first == "-" && plainKind(text) == .integer),
      !(first == "-" && plainKind(text) == .number)
    {
      return false
    }
    if last == ":" || last == " " || text.hasPrefix("...") || text == "<<" { return false }
    var previous: Unicode.Scalar = "x"
    for scalar in text.unicodeScalars {
      if scalar.value < 0x20 || (0x7F...0xA0).contains(scalar.value) || scalar.value > 0xD7FF { return false }
      if scalar.value == 0x2028 || scalar.value == 0x2029 || ",[]{}".unicodeScalars.contains(scalar) { return false }
      if previous == ":" && scalar == " " || previous == " " && scalar == "#" { return false }
      previous = scalar
    }
    return true
  }

  private static func scalar(_ node: Node) -> String {
    guard case .scalar(let text, let quoted) = node.value else { return "" }
    if text.isEmpty && !quoted { return "null" }
    return quoted || !isPlain(text) ? quote(text) : text
  }

  /// `text` in double quotes; everything unusual is escaped.
  private static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: out += "\\\""
      case 0x5C: out += "\\\\"
      case 0x0A: out += "\\n"
      case 0x09: out += "\\t"
      case 0..<0x20, 0x7F...0xA0: out += "\\x" + hex(scalar.value, 2)
      case 0x2028, 0x2029, 0xE000...0xFFFF: out += "\\u" + hex(scalar.value, 4)
      case 0x1_0000...: out += "\\U" + hex(scalar.value, 8)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  private static func hex(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: width - digits.count) + digits
  }

  /// `node` on one line, or nil when it needs lines of its own.
  private static func inline(_ node: Node) -> String? {
    switch node.value {
    case .scalar: return scalar(node)
    case .mapping(let pairs): return pairs.isEmpty ? "{}" : nil
    case .sequence(let items):
      guard items.allSatisfy({ $0.text != nil }) else { return nil }
      let line = "[" + items.map(scalar).joined(separator: ", ") + "]"
      return line.count <= 100 ? line : nil
    }
  }

  private static func block(_ node: Node, indent: Int, into text: inout String) {
    if let line = inline(node) {
      text += line + "\n"
      return
    }
    let margin = String(repeating: " ", count: indent)
    // The caller has already written the margin of the first line.
    for (index, entry) in entries(node).enumerated() {
      text += index == 0 ? "" : margin
      switch entry {
      case (let key?, let value):
        text += (isPlain(key) ? key : quote(key)) + ":"
        if let line = inline(value) {
          text += " " + line + "\n"
        } else {
          text += "\n" + margin + "  "
          block(value, indent: indent + 2, into: &text)
        }
      case (nil, let value):
        text += "- "
        block(value, indent: indent + 2, into: &text)
      }
    }
  }

  private static func entries(_ node: Node) -> [(String?, Node)] {
    switch node.value {
    case .mapping(let pairs): pairs.map { ($0.key, $0.value) }
    case .sequence(let items): items.map { (nil, $0) }
    case .scalar: []
    }
  }
}
