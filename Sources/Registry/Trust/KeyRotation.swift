public import Bundles
public import Foundation

/// A publisher's change of keys: the new key's `.pub` file, signed by the old key.
///
/// `minisign -V -m new.pub -p old.pub` verifies it too. The trusted comment names publisher and new key, so that such a
/// signature is good for nothing else, and no other signature for this.
public enum KeyRotation {
  /// Lets `old` say that `publisher` signs with `new` from now on.
  public static func sign(
    _ new: PublicKey, of publisher: String, by old: SecretKey
  ) throws(BundleError) -> (file: Data, signature: Signature) {
    let file = Data(new.file.utf8)
    return (file, try old.sign(file, trustedComment: comment(publisher, new)))
  }

  /// Never `publisher/name@version`: there is neither a slash before nor an "@".
  static func comment(_ publisher: String, _ new: PublicKey) -> String { "\(publisher) changes its key to \(new.id)" }
}
