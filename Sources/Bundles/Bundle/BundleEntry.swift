/// The files a bundle may hold, and their order.
public enum BundleEntry {
  public static let manifest = "manifest.yaml"
  public static let weights = "weights.safetensors"
  public static let recipe = "recipe.yaml"
  public static let card = "card.md"
  public static let license = "LICENSE"
  public static let proof = "proof.safetensors"
  public static let sums = "SHA256SUMS"
  /// Over the sums; optional.
  public static let signature = "SHA256SUMS.minisig"

  /// Where the plugin library of a platform lies: `plugins/linux-x86_64/libTask.so`.
  public static func library(_ task: String, platform: String) -> String { "plugins/\(platform)/lib\(task).so" }

  /// The place of an entry among the kinds of entries, or nil for a name that no bundle may hold.
  ///
  /// Allowed names are ASCII of at most 128 bytes, so none needs normalising, and none leaves the bundle's folder.
  static func rank(_ name: String) -> Int? {
    guard !name.isEmpty, name.utf8.count <= 128, name.utf8.allSatisfy({ $0 < 128 }) else { return nil }
    let fixed = [manifest, weights, "", recipe, card, license, "", proof, sums, signature]
    if let rank = fixed.firstIndex(of: name) { return rank }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    if parts.count == 3, parts[0] == "plugins" {
      let task = parts[2].dropFirst(3).dropLast(3)
      let fits = parts[2].hasPrefix("lib") && parts[2].hasSuffix(".so") && parts[2].count > 6
      return fits && isWord(parts[1], "_-") && isWord(task, "_") ? 2 : nil
    }
    if parts.count == 2, parts[0] == "examples", parts[1].hasSuffix(".png") {
      return isWord(parts[1].dropLast(4), "_-") ? 6 : nil
    }
    return nil
  }

  /// Whether `a` stands before `b` in a bundle: by kind, then by name.
  static func precedes(_ a: String, _ b: String) -> Bool {
    let (x, y) = (rank(a) ?? .max, rank(b) ?? .max)
    return x != y ? x < y : a.utf8.lexicographicallyPrecedes(b.utf8)
  }

  /// Whether entries of this name are kept as they are; the others are deflated.
  static func isStored(_ name: String) -> Bool { name.hasSuffix(".safetensors") || name.hasSuffix(".png") }

  /// ASCII letters, digits, and the characters in `more`, starting with a letter or digit.
  private static func isWord(_ text: Substring, _ more: String) -> Bool {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
    guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
    return text.utf8.allSatisfy { isAlphanumeric($0) || more.utf8.contains($0) }
  }
}
