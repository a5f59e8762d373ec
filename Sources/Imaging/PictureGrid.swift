/// Sheets of equally sized pictures, row by row, for looking at many samples at once.
public enum PictureGrid {
  /// Arranges pictures in rows of `columns`, with `border` pixels of white around each; missing ones stay white.
  /// - Parameter pictures: at least one, all of one size.
  public static func arrange(_ pictures: [Bitmap], columns: Int, border: Int = 2) -> Bitmap {
    precondition(columns > 0 && border >= 0, "columns is positive and border is not negative")
    guard let first = pictures.first else { preconditionFailure("a grid needs at least one picture") }
    let (w, h) = (first.width, first.height)
    precondition(pictures.allSatisfy { $0.width == w && $0.height == h }, "pictures of a grid have one size")
    let rows = (pictures.count + columns - 1) / columns
    var sheet = Bitmap(
      width: columns * (w + border) + border, height: rows * (h + border) + border, red: 255, green: 255, blue: 255)
    for (i, picture) in pictures.enumerated() {
      let x = border + i % columns * (w + border)
      let y = border + i / columns * (h + border)
      for row in 0..<h {
        let start = ((y + row) * sheet.width + x) * 3
        sheet.pixels.replaceSubrange(start..<start + w * 3, with: picture.pixels[row * w * 3..<(row + 1) * w * 3])
      }
    }
    return sheet
  }
}
