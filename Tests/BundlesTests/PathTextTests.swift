import Bundles
import Testing

@Suite("Paths as text") struct PathTextTests {
  @Test(
    "folder, name, stem and suffix",
    arguments: [
      ("a", "", "a", "a", ""), ("/", "/", "/", "/", ""), ("", "", "", "", ""), ("-", "", "-", "-", ""),
      ("a/b.png", "a", "b.png", "b", "png"), ("/b.png", "/", "b.png", "b", "png"), ("a//b/", "a", "b", "b", ""),
      ("a/b.c.png", "a", "b.c.png", "b.c", "png"), (".png", "", ".png", ".png", ""), ("a.", "", "a.", "a.", ""),
      ("./a", ".", "a", "a", ""), ("a/..", "a", "..", "..", ""), ("///", "/", "/", "/", ""),
      // A combining character does not hide the slash or the dot before it.
      ("a/\u{301}b.\u{301}c", "a", "\u{301}b.\u{301}c", "\u{301}b", "\u{301}c"),
    ])
  func parts(_ path: String, _ folder: String, _ name: String, _ stem: String, _ suffix: String) {
    #expect(PathText.folder(of: path) == folder && PathText.name(of: path) == name)
    #expect(PathText.stem(of: path) == stem && PathText.suffix(of: path) == suffix)
  }

  @Test("names stay inside a folder unless they are absolute, empty, or go up")
  func inside() {
    for path in ["a", "a/b", "...", "a/..b", "./a"] { #expect(PathText.staysInside(path), "\(path)") }
    for path in ["", "/", "/a", "..", "a/..", "a/../b", "../\u{301}a"] {
      #expect(!PathText.staysInside(path), "\(path)")
    }
    #expect(PathText.join("a", "b") == "a/b" && PathText.join("/", "b") == "/b" && PathText.join("", "b") == "b")
  }
}
