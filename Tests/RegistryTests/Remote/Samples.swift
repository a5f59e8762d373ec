import Bundles
import Foundation
import Registry

extension Network {
  /// Quick to try again, and to give up.
  static var testing: Network {
    var network = Network()
    network.firstPause = 0.01
    network.longestPause = 0.05
    network.attempts = 4
    network.stallSeconds = 2
    return network
  }
}

extension BundleRegistry {
  static func open(_ address: String, _ network: Network = .testing) throws -> BundleRegistry {
    try BundleRegistry(RegistryAddress(address, allowsPlain: network.allowsPlain), network)
  }
}

/// Bytes that look random, the same in every run.
func sampleBytes(_ count: Int, seed: UInt64 = 1) -> Data {
  var state = seed
  var data = Data(capacity: count + 8)
  while data.count < count {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    withUnsafeBytes(of: state ^ (state >> 29)) { data.append(contentsOf: $0) }
  }
  return Data(data.prefix(count))
}

extension Artifact.Blob {
  init(of data: Data) { self.init(digest: "sha256:" + SHA256.hex(of: data), size: data.count) }

  /// Its place in a layout.
  var path: String { "/blobs/sha256/\(digest.dropFirst(7))" }
}

/// The code of the error that `body` throws.
func refusal(_ body: () throws -> Void) -> RegistryError.Code? {
  do { try body() } catch let error as RegistryError {
    recordAttack("refused, \(error.code)")
    return error.code
  } catch { return nil }
  return nil
}
