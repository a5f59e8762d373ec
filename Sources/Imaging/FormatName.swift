/// What people call the format that libvips' reader is for, "PDF" for `VipsForeignLoadPdfSource`; other text as it is.
func formatName(_ text: String) -> String {
  let start = "VipsForeignLoad"
  guard text.hasPrefix(start) else { return text }
  var name = text.dropFirst(start.count)
  for end in ["Source", "Buffer", "File"] where name.hasSuffix(end) { name = name.dropLast(end.count) }
  return switch name {
  case "Ppm": "PPM"
  case "Rad": "Radiance HDR"
  case "Magick", "Magick7": "a format of ImageMagick"
  case "Jp2k": "JPEG 2000"
  case "Jxl": "JPEG XL"
  case "Svg", "Pdf", "Csv", "Fits", "Nifti", "Mat": name.uppercased()
  default: String(name)
  }
}
