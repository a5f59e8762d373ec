internal import Bundles

/// How results are named: text with fields in braces, relative to the folder for results.
///
/// | field | becomes |
/// |---|---|
/// | `{folder}` | the folders between the named input folder and the picture; nothing for a picture named itself |
/// | `{stem}` | the input's name without its last suffix |
/// | `{ext}` | the result's suffix: that of the format asked for, else the input's |
/// | `{adapter}` | the adapter's name without its publisher; those of a chain joined by `-` |
/// | `{seed}`, `{steps}` | the picture's own, or the job's; `{steps}` is `default` where nobody chose |
/// | `{index}` | the picture's place in the list, from 1 |
public struct NameTemplate: Sendable, Hashable {
  public enum Field: String, Sendable, CaseIterable { case folder, stem, ext, adapter, seed, steps, index }

  private enum Part: Hashable {
    case text(String)
    case field(Field)
  }

  private let parts: [Part]

  /// `{folder}/{stem}.{ext}`
  public static let standard = NameTemplate(
    parts: [.field(.folder), .text("/"), .field(.stem), .text("."), .field(.ext)])

  private init(parts: [Part]) { self.parts = parts }

  /// - Throws: `ConversionError` for a field that is unknown, a brace without its fellow, an empty or absolute name, and
  ///   one that would leave the folder.
  public init(_ text: String) throws(ConversionError) {
    func refuse(_ reason: String, _ remedy: String) -> ConversionError {
      ConversionError(.options, at: "--name \(text)", reason, remedy: remedy)
    }
    let known = Field.allCases.map { "{\($0.rawValue)}" }.joined(separator: ", ")
    var parts: [Part] = []
    var rest = text[...]
    while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
      guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
        throw refuse("A brace has no fellow.", "Fields are \(known).")
      }
      if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
      let name = String(rest[rest.index(after: open)..<close])
      guard let field = Field(rawValue: name) else {
        throw refuse("There is no field {\(name)}.", "Fields are \(known).")
      }
      parts.append(.field(field))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.text(String(rest))) }
    guard !parts.isEmpty, PathText.staysInside(text) else {
      throw refuse(
        "Names are relative to the folder for results and stay inside.", "Write --name \"{stem}-{adapter}.{ext}\".")
    }
    self.parts = parts
  }

  /// The name for these values; empty folders leave no slash.
  func name(_ value: (Field) -> String) -> String {
    parts.map { part in
      switch part {
      case .text(let text): text
      case .field(let field): value(field)
      }
    }.joined().split(separator: "/").joined(separator: "/")
  }
}
