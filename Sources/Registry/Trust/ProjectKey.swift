internal import Bundles

/// The key that signs what the project itself publishes, in the registry that comes with the program.
///
/// Its secret half is in no repository. A program update replaces it: the old key then stays known where it was used.
enum ProjectKey {
  static let publisher = "codi"
  static let keys = [PublicKey("RWTHzYotwknwKPDxE9Vs+AMRk5o+dLChS8kOinU+JosVyGtDOA8SKKtJ")].compactMap { $0 }
}
