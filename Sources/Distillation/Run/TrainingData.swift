/// Pictures to learn from: a recipe's `data:` section.
public struct TrainingData: Codable, Hashable, Sendable {
  /// Tar shards or folders of photographs; without any, all pictures are drawn by the program.
  public var photographs: [PhotographSource] = []
  /// Sizes, batches and the mixture of photographs and drawn pictures.
  public var crops = CropFeedOptions()

  public init() {}

  /// What is wrong with the sizes of crops for networks that take multiples of `granularity`, in a sentence.
  func problem(granularity: Int) -> String? {
    crops.sizes.first { $0.size % granularity != 0 }.map {
      "\($0.size) is no multiple of \(granularity), which the network needs"
    }
  }

  /// Reads all photographs into memory and prepares the feed.
  /// - Parameters:
  ///   - hasDepth: whether every picture needs its depth; photographs are then refused before they are read.
  ///   - progress: pictures read so far, pictures in all.
  func open(hasDepth: Bool = false, progress: @escaping @Sendable (Int, Int) -> Void) throws -> CropFeed {
    guard !photographs.isEmpty else { return try CropFeed(crops, photographs: nil, hasDepth: hasDepth) }
    if hasDepth { throw CropFeed.lacksDepth("photographs") }
    return try CropFeed(crops, photographs: try Photographs.load(photographs, progress: progress))
  }
}
