/// The families of random views that `--augment` names.
public enum AugmentPolicy: String, CaseIterable, Codable, Sendable {
  /// MoCo v2's, the study's: crop 0.2 to 1, jitter 0.4 0.4 0.4 0.1, grey, flip, blur.
  case moco
  /// The image itself, resized, twice.
  case none
}
