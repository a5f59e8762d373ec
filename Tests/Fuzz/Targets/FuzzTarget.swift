internal import Bundles
public import Foundation
internal import Registry

/// A reader of bytes that may come from a stranger, and what must hold whatever they are.
///
/// Used by the fuzzer (`make fuzz`) and by the tests, which replay what it kept.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// A whole `.codi` file: zip profile, entries, manifest against sums against signature.
  case zip
  /// `manifest.yaml`: the strict YAML profile, the manifest's keys and values, canonical text, writing it again.
  case manifest
  /// A safetensors file: header, ranges, values.
  case safetensors
  /// A registry in a folder: index, documents, manifests, statements. See `RegistryReading` for the input's form.
  case oci
  /// `SHA256SUMS`, and minisign's signatures, public and secret keys.
  case sums
  /// What people and scripts type: versions, requirements, references, addresses, credentials.
  case words

  /// Reads `input` in every way in which the program would.
  ///
  /// Refusing it with the reader's own error is right. A trap ends the process.
  /// - Returns: how many of the ways went through to their end; 0 for what is refused at once.
  /// - Throws: `BrokenPromise` when something was let through that should not be; any other error is one that a reader
  ///   must not throw.
  @discardableResult
  public func run(_ input: Data) throws -> Int {
    switch self {
    case .zip: try BundleReading.run(input)
    case .manifest: try ManifestReading.run(input)
    case .safetensors: try TensorReading.run(input)
    case .oci: try RegistryReading.run(input)
    case .sums: try SignatureReading.run(input)
    case .words: try WordReading.run(input)
    }
  }
}

/// Something that was to hold for every input, and did not for this one.
public struct BrokenPromise: Error, CustomStringConvertible {
  public let description: String
}

func promise(_ holds: Bool, _ what: @autoclosure () -> String) throws {
  guard holds else { throw BrokenPromise(description: what()) }
}

/// Runs `body`, for which it is right to refuse its input.
/// - Returns: 1, or 0 when it did refuse.
@discardableResult
func refusing(_ body: () throws -> Void) throws -> Int {
  do {
    try body()
    return 1
  } catch let error as BundleError {
    try promise(!error.reason.isEmpty && !error.remedy.isEmpty, "an error without reason or remedy")
  } catch let error as RegistryError {
    try promise(!error.reason.isEmpty && !error.remedy.isEmpty, "an error without reason or remedy")
  }
  return 0
}
