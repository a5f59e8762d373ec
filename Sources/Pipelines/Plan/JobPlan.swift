internal import Bundles
internal import Foundation
public import Imaging

/// One picture of a job: where it comes from, where it goes, and what was chosen for it alone.
public struct JobItem: Sendable, Hashable {
  public let input: String
  public let output: String
  public var choices = ItemChoices()
  /// Files of the other pictures that are brought, by the names in the adapter's manifest.
  public var others: [String: String] = [:]
  /// Where the choices are said, as `FILE:LINE`.
  var place: String?

  init(
    input: String, output: String, choices: ItemChoices = ItemChoices(), others: [String: String] = [:],
    place: String? = nil
  ) {
    (self.input, self.output, self.choices, self.others, self.place) = (input, output, choices, others, place)
  }
}

/// Everything a job will do, settled before the first conversion.
public struct JobPlan: Sendable, Hashable {
  public let items: [JobItem]
  /// What was found beside them and cannot be converted; such items have no result.
  public let unusable: [JobResult.Failure]
  /// The folder for results.
  public let folder: String

  /// Formats that can be written under the input's own suffix; other inputs become PNG.
  private static let suffixes: Set = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "avif"]

  /// What results are named after, beside their inputs.
  public struct Naming: Sendable, Hashable {
    public var template = NameTemplate.standard
    /// Suffix of the outputs; `nil` keeps the input's.
    public var format: PictureFormat?
    /// What `{adapter}`, `{seed}` and `{steps}` stand for.
    public var adapter = ""
    public var seed: UInt64 = 0
    public var steps: Int?
    public init() {}
  }

  /// - Throws: `ConversionError` for two inputs that would become one output, for an output that would replace an input,
  ///   and for an output whose name says no format that can be written.
  public init(_ inputs: [InputItem], into folder: String, naming: Naming = Naming()) throws(ConversionError) {
    var names = Places(inputs.filter { $0.problem == nil }.flatMap { [$0.path] + $0.others.values.sorted() })
    var takenBy: [String: String] = [:]
    var items: [JobItem] = []
    items.reserveCapacity(inputs.count)
    for (number, input) in inputs.enumerated() where input.problem == nil {
      let output = try Self.output(of: input, number, folder, naming)
      if let other = takenBy[output] {
        throw ConversionError(
          .collision, at: output, "Both \(other) and \(input.path) would be written there; nothing was converted.",
          remedy: "Name results apart, for example with --name \"{index}-{stem}.{ext}\", or convert into two folders.")
      }
      if let replaced = names.input(at: output) {
        throw ConversionError(
          .collision, at: output,
          "The result of \(input.path) would replace the input \(replaced); nothing was converted.",
          remedy: "Choose another folder with --out.")
      }
      takenBy[output] = input.path
      items.append(
        JobItem(
          input: input.path, output: output, choices: input.choices, others: input.others, place: input.place))
    }
    self.items = items
    unusable = inputs.compactMap { input in
      input.problem.map { .init(item: JobItem(input: input.path, output: ""), reason: $0) }
    }
    self.folder = folder
  }

  /// The pictures that `InputList.find` finds, as `STEM.EXT` in their folders below `folder`.
  public init(inputs: [String], into folder: String, format: PictureFormat? = nil) throws(ConversionError) {
    var naming = Naming()
    naming.format = format
    try self.init(try InputList.find(inputs, excluding: folder), into: folder, naming: naming)
  }

  /// The name of an item's result in journals: below the folder for results, which may then be moved.
  func key(of item: JobItem) -> String {
    let inside = folder.hasSuffix("/") ? folder : "\(folder)/"
    guard !item.output.hasPrefix(inside) else { return String(item.output.dropFirst(inside.count)) }
    return item.output.hasPrefix("/")
      ? item.output : PathText.join(FileManager.default.currentDirectoryPath, item.output)
  }

  private static func output(
    of input: InputItem, _ number: Int, _ folder: String, _ naming: Naming
  ) throws(ConversionError) -> String {
    let ending = PathText.suffix(of: input.path)
    let suffix =
      naming.format?.rawValue ?? (suffixes.contains(ending.lowercased()) ? ending : "png")
    let name =
      input.out
      ?? naming.template.name { field in
        switch field {
        case .folder: input.folder
        case .stem: PathText.stem(of: input.path)
        case .ext: suffix
        case .adapter: naming.adapter
        case .seed: "\(input.choices.seed ?? naming.seed)"
        case .steps: (input.choices.steps ?? naming.steps).map { "\($0)" } ?? "default"
        case .index: "\(number + 1)"
        }
      }
    guard PictureFormat(path: name) != nil else {
      throw ConversionError(
        .options, at: name, "The result of \(input.path) would have a name that says no format.",
        remedy: "End names in .{ext}, .png, .jpg, .webp, .tif or .avif.")
    }
    // What fields stand for may hold "..", too: a picture may be called "...png".
    guard PathText.staysInside(name) else {
      throw ConversionError(
        .options, at: name, "The result of \(input.path) would leave the folder for results; nothing was converted.",
        remedy: "Write names relative to --out, without \"..\".")
    }
    return PathText.join(folder, name)
  }

  /// Where inputs really lie, so that `a/../a`, symbolic links to files and linked folders are seen through.
  private struct Places {
    private var inputs: [String: String] = [:]
    private var folders: [String: String?] = [:]

    init(_ files: [String]) {
      for file in files {
        inputs[place(file)] = file
        var status = stat()
        guard lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFLNK, let target = realPath(file) else {
          continue
        }
        inputs[target] = file
      }
      // Results come next, in folders that may have been made since.
      folders = [:]
    }

    /// The input that a file written at `output` would replace.
    mutating func input(at output: String) -> String? { inputs[place(output)] }

    /// The path with its folder resolved; a link at its end is a file of its own.
    private mutating func place(_ path: String) -> String {
      let folder = PathText.folder(of: path)
      let real: String?
      if let known = folders[folder] {
        real = known
      } else {
        real = realPath(folder)
        folders[folder] = real
      }
      guard let real else { return path }
      return PathText.join(real, PathText.name(of: path))
    }
  }
}
