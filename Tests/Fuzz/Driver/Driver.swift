import Clibfuzzer
import Foundation
import FuzzTargets

/// The target named by `CODI_FUZZ`; nil when the program only writes seeds.
private let target = FuzzTarget(rawValue: ProcessInfo.processInfo.environment["CODI_FUZZ"] ?? "")

/// Called once by libFuzzer. With `CODI_FUZZ_SEEDS=FOLDER` the target's seeds are written there, and that is all.
@c(LLVMFuzzerInitialize)
public func initialize(_ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutableRawPointer?) -> CInt {
  guard let target else {
    let known = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
    fail("CODI_FUZZ must name one of \(known).")
  }
  guard let folder = ProcessInfo.processInfo.environment["CODI_FUZZ_SEEDS"] else { return 0 }
  do {
    for (name, data) in try Seeds.all(of: target) { try data.write(to: URL(filePath: "\(folder)/\(name)")) }
  } catch {
    fail("\(error)")
  }
  exit(0)
}

@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = bytes.map { Data(bytes: $0, count: count) } ?? Data()
  do {
    try target?.run(input)
  } catch {
    fail("\(error)")
  }
  return 0
}

/// libFuzzer's own mutations; a changed zip mostly gets sums and local headers that fit again.
@c(LLVMFuzzerCustomMutator)
public func mutate(_ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int, _ most: Int, _ seed: CUnsignedInt) -> Int {
  guard let bytes else { return 0 }
  let count = LLVMFuzzerMutate(bytes, count, most)
  if target == .zip, seed % 8 != 0 { ZipRepair.repair(UnsafeMutableRawBufferPointer(start: bytes, count: count)) }
  return count
}

/// Ends the process such that libFuzzer keeps the input.
private func fail(_ message: String) -> Never {
  FileHandle.standardError.write(Data("\(message)\n".utf8))
  abort()
}
