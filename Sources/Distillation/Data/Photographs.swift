internal import Dispatch
public import Foundation
public import Imaging
internal import Synchronization

/// Photographs decoded once and kept in memory at half their size.
///
/// Native pixels are never learnt: JPEG's 8×8 blocks and halved chroma are in them. So each picture is reduced by the
/// mean of 2×2 pixels, which is also the finest scale that crops are taken at.
public final class Photographs: Sendable {
  /// A picture that could not be used, and why.
  public struct Broken: Hashable, Sendable {
    public let name: String
    public let reason: String
  }

  /// Half-size pictures in the sources' order, whatever the number of threads.
  public let pictures: [Bitmap]
  /// One name per picture: `shard.tar/entry.jpg` or the file's path.
  public let names: [String]
  public let broken: [Broken]

  public init(pictures: [Bitmap], names: [String], broken: [Broken] = []) {
    precondition(pictures.count == names.count, "every picture has a name")
    self.pictures = pictures
    self.names = names
    self.broken = broken
  }

  /// Reads and decodes all sources on all cores.
  ///
  /// A picture that is damaged, above `maximumPixels` or smaller than `2·minimumSide` becomes an entry of `broken`.
  /// - Parameters:
  ///   - minimumSide: the shortest side of a half-size picture, the largest crop taken from it.
  ///   - limit: at most so many pictures, spread evenly over the sources; `nil`: all.
  ///   - progress: called with (finished, total) from any thread, total once at the end.
  /// - Throws: when a source is missing, damaged, empty or has the wrong SHA-256, or when no picture can be used.
  public static func load(
    _ sources: [PhotographSource], minimumSide: Int = 32, maximumPixels: Int = 50_000_000, limit: Int? = nil,
    environment: [String: String] = ProcessInfo.processInfo.environment,
    progress: @Sendable (_ finished: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(DataError) -> Photographs {
    var stored: [StoredPhotograph] = []
    for source in sources { stored += try source.list(environment: environment) }
    if let limit, limit < stored.count {
      stored = (0..<max(0, limit)).map { stored[$0 * stored.count / limit] }
    }
    guard !stored.isEmpty else {
      throw DataError(
        .empty, at: "photographs", "The recipe names no photograph.", remedy: "Name a shard or a folder of pictures.")
    }
    let list = stored
    let results = Mutex((outcomes: [Result<Bitmap, Reason>?](repeating: nil, count: list.count), finished: 0))
    DispatchQueue.concurrentPerform(iterations: list.count) { i in
      let outcome = decode(list[i], minimumSide: minimumSide, maximumPixels: maximumPixels)
      let finished = results.withLock { results in
        results.outcomes[i] = outcome
        results.finished += 1
        return results.finished
      }
      progress(finished, list.count)
    }
    var pictures: [Bitmap] = []
    var names: [String] = []
    var broken: [Broken] = []
    for (photograph, outcome) in zip(list, results.withLock { $0.outcomes }) {
      switch outcome {
      case .success(let picture):
        pictures.append(picture)
        names.append(photograph.name)
      case .failure(let reason): broken.append(Broken(name: photograph.name, reason: reason.text))
      case nil: continue
      }
    }
    guard !pictures.isEmpty else {
      let first = broken.first.map { "\($0.name): \($0.reason)" } ?? ""
      throw DataError(
        .empty, at: "photographs", "None of \(list.count) pictures can be used. \(first)",
        remedy: "Check the data, or take smaller crops.")
    }
    return Photographs(pictures: pictures, names: names, broken: broken)
  }

  private struct Reason: Error { let text: String }

  private static func decode(
    _ stored: StoredPhotograph, minimumSide: Int, maximumPixels: Int
  ) -> Result<Bitmap, Reason> {
    do {
      let picture = try decodeBitmap(try stored.read(), maximumPixels: maximumPixels)
      guard min(picture.width, picture.height) / 2 >= max(1, minimumSide) else {
        return .failure(
          Reason(text: "\(picture.width) x \(picture.height) pixels; the shorter side needs \(2 * minimumSide)."))
      }
      return .success(picture.halved())
    } catch let error as ImagingError {
      return .failure(Reason(text: error.reason))
    } catch {
      return .failure(Reason(text: "\(error)"))
    }
  }
}

extension Bitmap {
  /// Half the size, each pixel the mean of 2×2, rounded half up; an odd last row or column is dropped.
  package func halved() -> Bitmap {
    let w = width / 2
    let h = height / 2
    let half = [UInt8](unsafeUninitializedCapacity: w * h * 3) { out, count in
      pixels.withUnsafeBufferPointer { p in
        for y in 0..<h {
          let upper = 2 * y * width * 3
          let lower = upper + width * 3
          for x in 0..<w {
            for c in 0..<3 {
              let i = 6 * x + c
              let sum = Int(p[upper + i]) + Int(p[upper + i + 3]) + Int(p[lower + i]) + Int(p[lower + i + 3])
              out[(y * w + x) * 3 + c] = UInt8((sum + 2) >> 2)
            }
          }
        }
      }
      count = w * h * 3
    }
    return Bitmap(width: w, height: h, pixels: half)
  }
}
