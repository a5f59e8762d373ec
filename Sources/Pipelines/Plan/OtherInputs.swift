internal import Bundles

/// The pictures that an adapter takes beside the one that is converted, as `NAME=FILE`: one file for all pictures, or one
/// for each, from the fields `{folder}`, `{stem}` and `{ext}` of the picture's path.
public struct OtherInputs: Sendable, Hashable {
  private let files: [String: String]

  /// - Throws: `ConversionError` for what is no `NAME=FILE`, a name that occurs twice, and a field that is unknown.
  public init(_ texts: [String]) throws(ConversionError) {
    var files: [String: String] = [:]
    for text in texts {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      func refuse(_ reason: String) -> ConversionError {
        ConversionError(
          .options, at: "--input \(text)", reason,
          remedy: "Write --input mask=mask.png, or --input 'mask=masks/{stem}.png' for a mask of each picture.")
      }
      guard parts.count == 2, !text.utf8.contains(0) else { throw refuse("It is no name and file.") }
      guard files[parts[0]] == nil else { throw refuse("\(parts[0]) is there twice.") }
      files[parts[0]] = parts[1]
      guard let open = parts[1].firstIndex(of: "{"), let close = parts[1][open...].firstIndex(of: "}") else { continue }
      // A file's own name may hold braces; one field that is none is more likely a mistake.
      let field = parts[1][parts[1].index(after: open)..<close]
      guard ["folder", "stem", "ext"].contains(field) else {
        throw refuse("There is no field {\(field)}; fields are {folder}, {stem} and {ext}.")
      }
    }
    self.files = files
  }

  /// Names the files for these pictures; what a picture says for itself stays.
  public func added(to items: [InputItem]) -> [InputItem] {
    guard !files.isEmpty else { return items }
    return items.map { item in
      var item = item
      let own = files.mapValues { template in
        template.replacing("{folder}", with: item.folder).replacing("{stem}", with: PathText.stem(of: item.path))
          .replacing("{ext}", with: PathText.suffix(of: item.path))
      }
      item.others.merge(own) { said, _ in said }
      return item
    }
  }
}
