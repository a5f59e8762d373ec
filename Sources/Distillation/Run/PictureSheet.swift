internal import Imaging
internal import Tensor

/// Batches of pictures, `[B, H, W, 3]` in −1…1, one after the other in rows of `columns`.
func pictureSheet(_ batches: [Tensor], columns: Int) -> Bitmap? {
  var bitmaps: [Bitmap] = []
  for batch in batches {
    let (height, width) = (batch.shape[1], batch.shape[2])
    let values = batch.floats()
    let each = height * width * 3
    for i in 0..<batch.shape[0] {
      let pixels = values[(i * each)..<((i + 1) * each)].map { UInt8(max(0, min(255, ($0 * 127.5 + 127.5).rounded()))) }
      bitmaps.append(Bitmap(width: width, height: height, pixels: pixels))
    }
  }
  return PictureGrid.arrange(bitmaps, columns: columns)
}
