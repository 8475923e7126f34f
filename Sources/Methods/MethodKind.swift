/// The self-supervised methods that `--method` names.
public enum MethodKind: String, CaseIterable, Codable, Sendable {
  /// Grill et al. 2020, "Bootstrap your own latent".
  case byol
}
