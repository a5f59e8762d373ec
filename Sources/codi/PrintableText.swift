extension String {
  /// For a terminal: control characters, and those that turn the direction of writing, are shown as `\u{1B}`, so that a
  /// file's name can neither move the cursor nor look like another one.
  /// - Parameter lines: whether ends of lines stay, with what follows indented so that it cannot pass for a new message.
  func printable(lines: Bool = false) -> String {
    guard unicodeScalars.contains(where: Self.isHidden) else { return self }
    var text = ""
    for scalar in unicodeScalars {
      if lines, scalar == "\n" {
        text += "\n   "
      } else if Self.isHidden(scalar) {
        text += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// The same for a text of several lines, whose ends stay; what a stranger wrote may not bring ends of its own.
  var printableLines: String {
    split(separator: "\n", omittingEmptySubsequences: false).map { String($0).printable() }.joined(separator: "\n")
  }

  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    // Marks for joining and direction in ordinary words stay; embeddings, overrides and isolates do not.
    case .format: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    default: false
    }
  }
}
