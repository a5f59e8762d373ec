internal import Foundation
public import Imaging

/// One picture of a job: where it comes from and where it goes.
public struct JobItem: Sendable, Hashable {
  public let input: String
  public let output: String
}

/// Everything a job will do, settled before the first conversion.
public struct JobPlan: Sendable, Hashable {
  public let items: [JobItem]

  /// Formats that can be written under the input's own suffix; other inputs become PNG.
  private static let suffixes: Set = ["png", "jpg", "jpeg", "webp", "tif", "tiff"]
  /// Formats that are looked for in folders.
  private static let readable = suffixes.union(["heic", "heif", "avif", "gif"])

  /// - Parameters:
  ///   - inputs: files, and folders whose pictures are taken, in order of name; folders inside are left alone.
  ///   - folder: where outputs go, as `STEM.EXT`.
  ///   - format: suffix of the outputs; `nil` keeps the input's.
  /// - Throws: `ConversionError` for an input that does not exist, for no pictures at all, for two inputs that would
  ///   become one output, and for an output that would replace an input.
  public init(inputs: [String], into folder: String, format: PictureFormat? = nil) throws(ConversionError) {
    let files = try Self.files(inputs)
    let names = Self.Places(files)
    var takenBy: [String: String] = [:]
    var items: [JobItem] = []
    for file in files {
      let name = (file as NSString).lastPathComponent
      let suffix =
        format?.rawValue ?? (Self.suffixes.contains(Self.suffix(name)) ? (name as NSString).pathExtension : "png")
      let output = (folder as NSString).appendingPathComponent("\((name as NSString).deletingPathExtension).\(suffix)")
      if let other = takenBy[output] {
        throw ConversionError(
          .collision, at: output, "Both \(other) and \(file) would be written there; nothing was converted.",
          remedy: "Convert them into two folders.")
      }
      if let input = names.input(at: output) {
        throw ConversionError(
          .collision, at: output, "The result of \(file) would replace the input \(input); nothing was converted.",
          remedy: "Choose another folder with --out.")
      }
      takenBy[output] = file
      items.append(JobItem(input: file, output: output))
    }
    self.items = items
  }

  private static func files(_ inputs: [String]) throws(ConversionError) -> [String] {
    var files: [String] = []
    for input in inputs {
      guard let isFolder = isFolder(input) else {
        throw ConversionError(
          .noInput, at: input, "There is no such file or folder.", remedy: "Check the path.")
      }
      guard isFolder else {
        files.append(input)
        continue
      }
      let names: [String]
      do { names = try FileManager.default.contentsOfDirectory(atPath: input) } catch {
        throw ConversionError(
          .noInput, at: input, "The folder cannot be read: \(error.localizedDescription)",
          remedy: "Check its permissions.")
      }
      files += names.sorted().filter { readable.contains(suffix($0)) && !$0.hasPrefix(".") }
        .map { (input as NSString).appendingPathComponent($0) }
        .filter { Self.isFolder($0) != true }
    }
    guard !files.isEmpty else {
      throw ConversionError(
        .noInput, at: inputs.joined(separator: ", "), "No pictures were found.",
        remedy: "Name files, or folders that hold " + readable.sorted().joined(separator: ", ") + ".")
    }
    return files
  }

  /// `nil` for what does not exist.
  private static func isFolder(_ path: String) -> Bool? {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) ? isFolder.boolValue : nil
  }

  private static func suffix(_ name: String) -> String { (name as NSString).pathExtension.lowercased() }

  /// Where inputs really lie, so that `a/../a`, symbolic links to files and linked folders are seen through.
  private struct Places {
    private var inputs: [String: String] = [:]

    init(_ files: [String]) {
      for file in files {
        inputs[Self.place(file)] = file
        if let target = realpath(file, nil) {
          inputs[String(cString: target)] = file
          free(target)
        }
      }
    }

    /// The input that a file written at `output` would replace.
    func input(at output: String) -> String? { inputs[Self.place(output)] }

    /// The path with its folder resolved; a link at its end is a file of its own.
    private static func place(_ path: String) -> String {
      let folder = (path as NSString).deletingLastPathComponent
      guard let real = realpath(folder.isEmpty ? "." : folder, nil) else { return path }
      defer { free(real) }
      return (String(cString: real) as NSString).appendingPathComponent((path as NSString).lastPathComponent)
    }
  }
}
