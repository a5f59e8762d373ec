import Distillation
import Foundation
import Imaging
import Testing

@Suite struct PhotographsTests {
  /// Three PNGs with their labels, one in a subfolder; packed by the system's tar.
  func withShard<Result>(format: String, _ body: (_ folder: String, _ shard: String) throws -> Result) throws -> Result
  {
    try withFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/in/sub", withIntermediateDirectories: true)
      for (i, name) in ["a.png", "b.PNG", "sub/c.png"].enumerated() {
        try save(encodePNG(numbered(i)), "\(folder)/in/\(name)")
        try save(Array("{\"label\": \(i)}".utf8), "\(folder)/in/\(name).json")
      }
      try run("tar", "--format=\(format)", "-cf", "shard.tar", "-C", "in", "a.png", "b.PNG", "sub", in: folder)
      return try body(folder, "\(folder)/shard.tar")
    }
  }

  @Test("a shard written by tar gives its pictures by name, at half size", arguments: ["ustar", "gnu"])
  func shard(format: String) throws {
    try withShard(format: format) { _, shard in
      let loaded = try Photographs.load([.init(path: shard)])
      #expect(loaded.names == ["shard.tar/a.png", "shard.tar/b.PNG", "shard.tar/sub/c.png"])
      #expect(loaded.pictures == (0..<3).map { numbered($0).halved() })
      #expect(loaded.broken.isEmpty)
    }
  }

  @Test("a folder is searched with its subfolders, in the order of paths")
  func folder() throws {
    try withShard(format: "ustar") { folder, _ in
      let loaded = try Photographs.load([.init(path: "\(folder)/in")])
      #expect(loaded.names == ["a.png", "b.PNG", "sub/c.png"].map { "\(folder)/in/\($0)" })
      #expect(loaded.pictures == (0..<3).map { numbered($0).halved() })
      #expect(code { try Photographs.load([.init(path: "\(folder)/in", sha256: "00")]) } == .options)
    }
  }

  @Test("long names fit ustar's prefix; archives that need extensions are refused")
  func longNames() throws {
    try withFolder { folder in
      let deep = String(repeating: "d", count: 90)
      let file = String(repeating: "f", count: 60) + ".png"
      try FileManager.default.createDirectory(atPath: "\(folder)/\(deep)", withIntermediateDirectories: true)
      try save(encodePNG(numbered(1)), "\(folder)/\(deep)/\(file)")
      try run("tar", "--format=ustar", "-cf", "a.tar", "\(deep)/\(file)", in: folder)
      #expect(try Photographs.load([.init(path: "\(folder)/a.tar")]).names == ["a.tar/\(deep)/\(file)"])
      try run("tar", "--format=gnu", "-cf", "b.tar", "\(deep)/\(file)", in: folder)
      #expect(code { try Photographs.load([.init(path: "\(folder)/b.tar")]) } == .damaged)
      try run("tar", "--format=v7", "-cf", "c.tar", "a.tar", in: folder)
      #expect(code { try Photographs.load([.init(path: "\(folder)/c.tar")]) } == .damaged)
    }
  }

  @Test("a shard cut anywhere, or with a damaged header, is refused before the first picture")
  func damagedShard() throws {
    try withShard(format: "ustar") { folder, shard in
      let bytes = [UInt8](try Data(contentsOf: URL(filePath: shard)))
      for keep in [0, 300, 512, 700, 1024, 5000] {
        try save(Array(bytes.prefix(keep)), "\(folder)/cut.tar")
        #expect(code { try Photographs.load([.init(path: "\(folder)/cut.tar")]) } == .damaged, "\(keep) bytes")
      }
      for at in [0, 124, 130, 156, 257] {
        var bad = bytes
        bad[at] ^= 1
        try save(bad, "\(folder)/bad.tar")
        #expect(code { try Photographs.load([.init(path: "\(folder)/bad.tar")]) } == .damaged, "byte \(at)")
      }
    }
  }

  @Test("the recipe's SHA-256 is verified")
  func checksum() throws {
    try withFolder { folder in
      try save(Array("abc".utf8), "\(folder)/a.tar")
      // FIPS 180-2, appendix B.1.
      let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
      #expect(code { try Photographs.load([.init(path: "\(folder)/a.tar", sha256: abc)]) } == .damaged)
      let wrong = String(abc.reversed())
      #expect(code { try Photographs.load([.init(path: "\(folder)/a.tar", sha256: wrong)]) } == .checksum)
    }
  }

  @Test("broken and small pictures are counted and named, the others are used")
  func broken() throws {
    try withFolder { folder in
      let good = try encodePNG(numbered(1))
      try save(good, "\(folder)/good.png")
      try save(Array(good.prefix(good.count / 2)), "\(folder)/cut.png")
      try save([], "\(folder)/empty.jpg")
      try save(Array("no picture".utf8), "\(folder)/text.webp")
      try save(encodePNG(numbered(2, width: 63, height: 100)), "\(folder)/small.png")
      let loaded = try Photographs.load([.init(path: folder)], minimumSide: 32)
      #expect(loaded.names == ["\(folder)/good.png"])
      #expect(
        loaded.broken.map(\.name) == ["cut.png", "empty.jpg", "small.png", "text.webp"].map { "\(folder)/\($0)" })
      #expect(loaded.broken.allSatisfy { !$0.reason.isEmpty })
      #expect(loaded.broken[2].reason.contains("63 x 100"))
    }
  }

  @Test("a missing, empty or useless source ends before the first step and says what to do")
  func missing() throws {
    #expect(code { try Photographs.load([]) } == .empty)
    #expect(code { try Photographs.load([.init(path: "/nowhere/at/all.tar")]) } == .missing)
    try withFolder { folder in
      #expect(code { try Photographs.load([.init(path: folder)]) } == .empty)
      try save([1, 2, 3], "\(folder)/a.png")
      #expect(code { try Photographs.load([.init(path: folder)]) } == .empty)
    }
  }

  @Test("${CODI_DATA} is filled in, and its absence is explained")
  func environment() throws {
    let source = PhotographSource(path: "${CODI_DATA}/train/a.tar")
    #expect(try source.resolvedPath(environment: ["CODI_DATA": "/data"]) == "/data/train/a.tar")
    let error = #expect(throws: DataError.self) { try source.resolvedPath(environment: [:]) }
    #expect(error?.code == .environment)
    #expect(error?.remedy.contains("export CODI_DATA=") == true)
    #expect(code { try PhotographSource(path: "${HOME}/a").resolvedPath(environment: ["HOME": "/"]) } == .environment)
  }

  @Test("progress counts every picture once, and a limit spreads over the sources")
  func progress() throws {
    try withShard(format: "ustar") { folder, shard in
      let calls = Calls()
      _ = try Photographs.load([.init(path: shard), .init(path: "\(folder)/in")]) { calls.add($0, of: $1) }
      #expect(calls.finished.sorted() == Array(1...6) && calls.totals == [6])
      let some = try Photographs.load([.init(path: shard), .init(path: "\(folder)/in")], limit: 2)
      #expect(some.names == ["shard.tar/a.png", "\(folder)/in/a.png"])
    }
  }

  @Test("halving takes the mean of 2×2, rounded half up, and drops an odd border")
  func halved() {
    var bitmap = Bitmap(width: 5, height: 3, red: 10, green: 20, blue: 30)
    bitmap.pixels[0] = 12  // 10, 10, 10, 12: 10.5
    #expect(bitmap.halved() == Bitmap(width: 2, height: 1, pixels: [11, 20, 30, 10, 20, 30]))
  }
}

/// What a progress callback was told; guarded by `lock`.
private final class Calls: @unchecked Sendable {
  private let lock = NSLock()
  private var seen: [(Int, Int)] = []

  func add(_ finished: Int, of total: Int) { lock.withLock { seen.append((finished, total)) } }
  var finished: [Int] { lock.withLock { seen.map(\.0) } }
  var totals: Set<Int> { lock.withLock { Set(seen.map(\.1)) } }
}
