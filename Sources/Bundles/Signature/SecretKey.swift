internal import Clibsodium
public import Foundation

/// A minisign secret key, kept in locked memory and wiped afterwards.
public final class SecretKey: Sendable {
  /// What it costs to try a password.
  public enum Effort: Sendable {
    /// 16 MiB and some hundredths of a second.
    case interactive
    /// 1 GiB and some seconds, as minisign does it.
    case sensitive

    fileprivate var limits: (operations: UInt64, memory: UInt64) {
      self == .interactive ? (1 << 19, 1 << 24) : (1 << 25, 1 << 30)
    }
  }

  public let publicKey: PublicKey
  /// 64 bytes: the seed, then the public key.
  nonisolated(unsafe) private let secret: UnsafeMutableRawPointer

  private init(id: KeyID, seed: [UInt8]) throws(BundleError) {
    guard Minisign.isReady, let memory = sodium_malloc(64) else {
      throw BundleError(.limit, at: "secret key", "No memory could be locked for it.", remedy: "Raise `ulimit -l`.")
    }
    secret = memory
    var key = [UInt8](repeating: 0, count: 32)
    crypto_sign_seed_keypair(&key, secret.assumingMemoryBound(to: UInt8.self), seed)
    publicKey = PublicKey(id: id, bytes: key)
  }

  deinit { sodium_free(secret) }

  /// A new key pair with a random number.
  public static func generate() throws(BundleError) -> SecretKey {
    guard Minisign.isReady else {
      throw BundleError(.limit, at: "secret key", "libsodium cannot be used here.", remedy: "Reinstall libsodium.")
    }
    var random = [UInt8](repeating: 0, count: 40)
    defer { sodium_memzero(&random, random.count) }
    randombytes_buf(&random, random.count)
    return try SecretKey(id: KeyID(random[..<8]), seed: Array(random[8...]))
  }

  /// Signs `message` together with a comment that tells what it is; equal input gives equal bytes.
  ///
  /// The untrusted comment carries the public key, so that whoever meets it for the first time can take note of it.
  public func sign(_ message: Data, trustedComment: String) throws(BundleError) -> Signature {
    try Minisign.check(comment: trustedComment, "trusted comment")
    let signature = sign(Minisign.hash([UInt8](message)))
    return Signature(
      keyID: publicKey.id, bytes: signature, globalBytes: sign(signature + Array(trustedComment.utf8)),
      trustedComment: trustedComment, untrustedComment: Signature.offer + publicKey.description)
  }

  private func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 64)
    crypto_sign_detached(
      &signature, nil, message, UInt64(message.count), secret.assumingMemoryBound(to: UInt8.self))
    return signature
  }
}

// MARK: The file

extension SecretKey {
  /// Where the parts of the record lie: mark, kdf, checksum kind, salt, two limits, id, key, checksum.
  private static let length = 158
  private static let kind = Array("B2".utf8)
  private static let scrypt = Array("Sc".utf8)

  /// Whether reading this `.key` file needs a password.
  public static func isEncrypted(_ data: Data, source: String) throws(BundleError) -> Bool {
    try record(data, source)[2..<4].elementsEqual(scrypt)
  }

  /// Reads a `.key` file.
  /// - Parameter password: of an encrypted key; not looked at otherwise.
  /// - Throws: `wrongPassword` when it does not open the key, `syntax` for a file that is none.
  public convenience init(parsing data: Data, password: String? = nil, source: String) throws(BundleError) {
    var record = try SecretKey.record(data, source)
    defer { sodium_memzero(&record, record.count) }
    let isEncrypted = record[2..<4].elementsEqual(SecretKey.scrypt)
    if isEncrypted {
      guard let password else {
        throw BundleError(.wrongPassword, at: source, "The key is encrypted.", remedy: "Give its password.")
      }
      let (operations, memory) = (SecretKey.number(record, 38), SecretKey.number(record, 46))
      let most = Effort.sensitive.limits
      guard operations <= most.operations, memory <= most.memory else {
        throw BundleError(
          .limit, at: source, "The key asks for more time or memory than minisign would.",
          remedy: "Make a new key with `codi keys new`.")
      }
      try SecretKey.mask(&record, password, operations, memory, source)
    }
    let checksum = Minisign.hash(Array(record[..<2] + record[54..<126]), count: 32)
    let isRight = checksum.elementsEqual(record[126...])
    // Without a password minisign 0.11 writes zeros for the checksum.
    guard isRight || !isEncrypted && record[126...].allSatisfy({ $0 == 0 }) else {
      throw BundleError(
        .wrongPassword, at: source,
        isEncrypted ? "The password does not open the key." : "The key's checksum is wrong.",
        remedy: isEncrypted ? "Type it again." : "Restore the file.")
    }
    try self.init(id: KeyID(record[54..<62]), seed: Array(record[62..<94]))
    guard publicKey.bytes.elementsEqual(record[94..<126]) else {
      throw Minisign.malformed(source, "The two halves of the key do not belong together.")
    }
  }

  /// The `.key` file, encrypted unless `password` is nil.
  public func file(password: String?, effort: Effort = .sensitive) throws(BundleError) -> String {
    var record = Minisign.legacy + (password == nil ? [0, 0] : SecretKey.scrypt) + SecretKey.kind
    defer { sodium_memzero(&record, record.count) }
    let limits = effort.limits
    var salt = [UInt8](repeating: 0, count: 32)
    if password != nil { randombytes_buf(&salt, salt.count) }
    record += salt
    for limit in [limits.operations, limits.memory] {
      record += withUnsafeBytes(of: password == nil ? 0 : limit.littleEndian) { Array($0) }
    }
    record += publicKey.id.bytes + Array(UnsafeRawBufferPointer(start: secret, count: 64))
    if let password {
      record += Minisign.hash(Array(record[..<2] + record[54..<126]), count: 32)
      try SecretKey.mask(&record, password, limits.operations, limits.memory, "secret key")
    } else {
      record += [UInt8](repeating: 0, count: 32)
    }
    let what = password == nil ? "unencrypted" : "encrypted"
    return "\(Minisign.untrusted)minisign \(what) secret key \(publicKey.id)\n\(Minisign.encode(record))\n"
  }

  private static func record(_ data: Data, _ source: String) throws(BundleError) -> [UInt8] {
    let lines = try Minisign.lines(data, count: 2, "secret key", source)
    _ = try Minisign.comment(lines[0], after: Minisign.untrusted, source)
    let record = try Minisign.decode(lines[1], count: length, "secret key", source)
    let derivation = Array(record[2..<4])
    guard Array(record[..<2]) == Minisign.legacy, Array(record[4..<6]) == kind,
      derivation == scrypt || derivation == [0, 0]
    else { throw Minisign.malformed(source, "The secret key is of an unknown kind.") }
    return record
  }

  /// A little-endian number at `offset`.
  private static func number(_ record: [UInt8], _ offset: Int) -> UInt64 {
    record[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Encrypts or decrypts the last 104 bytes of `record` with a key made of the password and the record's salt.
  private static func mask(
    _ record: inout [UInt8], _ password: String, _ operations: UInt64, _ memory: UInt64, _ source: String
  ) throws(BundleError) {
    var stream = [UInt8](repeating: 0, count: 104)
    defer { sodium_memzero(&stream, stream.count) }
    let salt = Array(record[6..<38])
    let status = crypto_pwhash_scryptsalsa208sha256(
      &stream, UInt64(stream.count), password, UInt64(password.utf8.count), salt, operations, Int(memory))
    guard status == 0 else {
      throw BundleError(
        .limit, at: source, "The password cannot be used: there is too little memory, or the key's limits are wrong.",
        remedy: "Free 1 GiB of memory and try again.")
    }
    for (index, byte) in stream.enumerated() { record[54 + index] ^= byte }
  }
}
