internal import Bundles
internal import Foundation
internal import Imaging
internal import Tensor

/// How Imaging names a file that is being written, before six characters of chance.
private let temporaryPrefix = ".codi-"

/// Runs a plan: reads ahead, converts on the compute thread, writes behind, goes on after a broken picture.
public struct Job: Sendable {
  public let plan: JobPlan
  public let converter: Converter

  public init(_ plan: JobPlan, _ converter: Converter) {
    self.plan = plan
    self.converter = converter
  }

  /// Every result appears complete or not at all.
  /// - Parameters:
  ///   - events: called in order.
  ///   - progress: the picture's number, and its share done, 0…1.
  ///   - shouldStop: asked between regions; a picture that was begun is then abandoned.
  /// - Returns: how many were converted and how many failed; fewer than planned when stopped.
  public func run(
    events: @escaping @Sendable (JobEvent) -> Void, progress: @escaping @Sendable (Int, Double) -> Void = { _, _ in },
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) async -> (converted: Int, failed: Int) {
    let start = ContinuousClock.now
    var (converted, failed) = (0, 0)
    func report(_ event: JobEvent?) {
      switch event {
      case .converted: converted += 1
      case .failed: failed += 1
      default: break
      }
      if let event { events(event) }
    }
    sweep()
    events(.started(items: plan.items.count))
    // One picture is read, one converted and one written at a time; the tasks end with the group.
    await withTaskGroup(of: JobEvent.self) { writing in
      var size: (width: Int, height: Int)?
      var current = plan.items.first.map(Self.read)
      for (number, item) in plan.items.enumerated() {
        if shouldStop() { break }
        async let next = number + 1 < plan.items.count ? Self.read(plan.items[number + 1]) : nil
        let began = ContinuousClock.now
        do {
          guard let source = try current?.get() else { break }
          let isNewSize = size.map { $0 != (source.picture.width, source.picture.height) } ?? false
          size = (source.picture.width, source.picture.height)
          let result = try await Compute.run { () throws in
            // Blocks of the last size would only pile up beside those of the next.
            if isNewSize { trimMemoryPool() }
            return try converter.convert(
              source.picture, digest: source.digest, progress: { progress(number, Double($0) / Double($1)) },
              shouldStop: shouldStop)
          }
          report(await writing.next())
          writing.addTask { Self.write(result, item, began) }
        } catch is CancellationError {
          break
        } catch {
          report(await writing.next())
          report(.failed(item, reason: "\(error)"))
        }
        current = await next
      }
      report(await writing.next())
    }
    events(.finished(converted: converted, failed: failed, seconds: (ContinuousClock.now - start) / .seconds(1)))
    return (converted, failed)
  }

  /// Removes what writers that were killed left in the folders for results; files of the last hour may be another job's.
  private func sweep() {
    let files = FileManager.default
    for folder in Set(plan.items.map { ($0.output as NSString).deletingLastPathComponent }) {
      let names = (try? files.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
      for name in names where name.count == temporaryPrefix.count + 6 && name.hasPrefix(temporaryPrefix) {
        let path = (folder as NSString).appendingPathComponent(name)
        guard let status = FileSystem.status(path), Date.now.timeIntervalSince1970 - status.changed > 3600 else {
          continue
        }
        try? files.removeItem(atPath: path)
      }
    }
  }

  /// The decoded picture and the SHA-256 of its file.
  private static func read(_ item: JobItem) -> Result<(picture: Picture, digest: [UInt8]), any Error> {
    Result {
      // Decoding comes first: it refuses what is no regular file, such as a pipe that would never end.
      let picture = try readPicture(item.input)
      var hash = SHA256()
      let file = try FileHandle(forReadingFrom: URL(filePath: item.input))
      while let part = try file.read(upToCount: 1 << 20), !part.isEmpty { hash.update(part) }
      return (picture, hash.digest())
    }
  }

  private static func write(_ result: Picture, _ item: JobItem, _ began: ContinuousClock.Instant) -> JobEvent {
    do {
      try Imaging.write(result, to: item.output)
      return .converted(
        item, width: result.width, height: result.height, seconds: (ContinuousClock.now - began) / .seconds(1))
    } catch { return .failed(item, reason: "\(error)") }
  }
}
