/// A place in a text: line and column count from 1; columns count code points. Line 0: made by the program.
public struct Mark: Sendable, Hashable, CustomStringConvertible {
  public var line: Int
  public var column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  public static let none = Mark(line: 0, column: 0)

  public var description: String { "\(line):\(column)" }
}

/// One value of a YAML document and where it stands.
public struct Node: Sendable, Hashable {
  /// A key, its place, and its value.
  public struct Pair: Sendable, Hashable {
    public var key: String
    public var keyMark: Mark
    public var value: Node

    public init(_ key: String, _ value: Node, keyMark: Mark = .none) {
      self.key = key
      self.keyMark = keyMark
      self.value = value
    }

    public static func == (a: Pair, b: Pair) -> Bool { a.key == b.key && a.value == b.value }

    public func hash(into hasher: inout Hasher) {
      hasher.combine(key)
      hasher.combine(value)
    }
  }

  public enum Value: Sendable, Hashable {
    /// Text as written; `quoted` tells `"1"` from `1`.
    case scalar(String, quoted: Bool)
    case sequence([Node])
    /// In the order of the text; no key occurs twice.
    case mapping([Pair])
  }

  public var value: Value
  public var mark: Mark

  public init(_ value: Value, mark: Mark = .none) {
    self.value = value
    self.mark = mark
  }

  /// Nodes are equal when their values are; marks do not count.
  public static func == (a: Node, b: Node) -> Bool { a.value == b.value }

  public func hash(into hasher: inout Hasher) { hasher.combine(value) }
}

extension Node {
  /// A text, quoted where it would otherwise read as something else.
  public static func string(_ text: String) -> Node {
    Node(.scalar(text, quoted: !YAML.isPlain(text) || YAML.plainKind(text) != .string))
  }

  public static func integer(_ value: some BinaryInteger) -> Node { Node(.scalar("\(value)", quoted: false)) }

  public static func boolean(_ value: Bool) -> Node { Node(.scalar("\(value)", quoted: false)) }

  /// A floating-point number in its shortest text that reads back to the same value.
  public static func number(_ value: some BinaryFloatingPoint & LosslessStringConvertible) -> Node {
    Node(.scalar(value.isInfinite ? (value < 0 ? "-.inf" : ".inf") : value.isNaN ? ".nan" : "\(value)", quoted: false))
  }

  public static func sequence(_ items: [Node]) -> Node { Node(.sequence(items)) }

  public static func mapping(_ pairs: [(String, Node)]) -> Node {
    Node(.mapping(pairs.map { Pair($0.0, $0.1) }))
  }

  /// The text of a scalar, else nil.
  public var text: String? {
    if case .scalar(let text, _) = value { text } else { nil }
  }

  /// The items of a sequence, else nil.
  public var items: [Node]? {
    if case .sequence(let items) = value { items } else { nil }
  }

  /// The pairs of a mapping, else nil.
  public var pairs: [Pair]? {
    if case .mapping(let pairs) = value { pairs } else { nil }
  }

  /// The value of `key` if this is a mapping that has it.
  public subscript(key: String) -> Node? { pairs?.first { $0.key == key }?.value }

  /// An unquoted `null`, `~`, or nothing at all.
  public var isNull: Bool {
    if case .scalar(let text, quoted: false) = value { YAML.plainKind(text) == .null } else { false }
  }

  /// What this node is, in the words of an error: `a mapping`, `the text "x"`.
  public var summary: String {
    switch value {
    case .mapping: "a mapping"
    case .sequence: "a sequence"
    case .scalar(let text, let quoted):
      isNull ? "null" : "\(quoted ? "the text " : "")\"\(text.count > 60 ? text.prefix(60) + "…" : text[...])\""
    }
  }
}

/// Sections that another room interprets are kept as nodes inside Codable structures; only `Options` reads and writes
/// them, and takes them as they are.
extension Node: Codable {
  public init(from decoder: any Decoder) throws {
    throw DecodingError.dataCorrupted(
      .init(codingPath: decoder.codingPath, debugDescription: "A node is read by Options.decode only"))
  }

  public func encode(to encoder: any Encoder) throws {
    throw EncodingError.invalidValue(
      self, .init(codingPath: encoder.codingPath, debugDescription: "A node is written by Options.encode only"))
  }
}
