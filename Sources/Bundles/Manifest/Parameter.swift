extension Manifest {
  /// Something the user of an adapter may set.
  public struct Parameter: Codable, Hashable, Sendable {
    public enum Kind: String, Codable, Hashable, Sendable, CaseIterable { case number, integer, boolean, choice, text }

    public var name: String
    public var type: Kind
    /// A scalar of the type.
    public var `default`: Node
    /// Smallest value of a number or integer.
    public var min: Double?
    /// Largest value of a number or integer.
    public var max: Double?
    /// What a choice may be, at least one.
    public var choices: [String]?
    public var summary: String

    public init(
      name: String, type: Kind, default: Node, min: Double? = nil, max: Double? = nil, choices: [String]? = nil,
      summary: String
    ) {
      self.name = name
      self.type = type
      self.default = `default`
      self.min = min
      self.max = max
      self.choices = choices
      self.summary = summary
    }

    /// A value of one of the types; a choice is a text.
    public enum Value: Hashable, Sendable {
      case number(Double)
      case integer(Int)
      case boolean(Bool)
      case text(String)
    }

    /// Reads what a user or a manifest wrote; nil when it is of the wrong type, out of range, or no choice.
    public func value(of text: String) -> Value? {
      switch type {
      case .number:
        guard [.number, .integer].contains(YAML.plainKind(text)), let value = Double(text), isInRange(value) else {
          return nil
        }
        return .number(value)
      case .integer:
        guard YAML.plainKind(text) == .integer, let value = Int(text), isInRange(Double(value)) else { return nil }
        return .integer(value)
      case .boolean: return text == "true" ? .boolean(true) : text == "false" ? .boolean(false) : nil
      case .choice: return choices?.contains(text) == true ? .text(text) : nil
      case .text: return text.utf8.count <= 4096 ? .text(text) : nil
      }
    }

    /// The values the parameter may have, in words.
    public var range: String {
      switch type {
      case .number, .integer:
        let ends = [min.map { "from \($0)" }, max.map { "to \($0)" }].compactMap { $0 }
        return ([type == .number ? "a number" : "an integer"] + ends).joined(separator: " ")
      case .boolean: return "true or false"
      case .choice: return "one of \((choices ?? []).joined(separator: ", "))"
      case .text: return "a text"
      }
    }

    private func isInRange(_ value: Double) -> Bool {
      value.isFinite && value >= min ?? -.infinity && value <= max ?? .infinity
    }
  }
}
