/// The two halves of a split that a probe is made with: one to fit on, the other to judge.
///
/// Halves are cut in each class, so that the order of a data set does not matter: a split that is sorted by class has every
/// class in both. Within a class the images keep their order; of classes with an odd number of images the first one's
/// odd image is judged, the second one's fitted on, and so on in turn.
public struct ProbeSplit: Equatable, Sendable {
  /// Places in the split, ascending.
  public let fit: [Int]
  public let judged: [Int]

  /// - Parameter labels: in the split's order; those below 0 are of images without a label, which take no part.
  /// - Throws: `ProbeError` for fewer than two labelled images.
  public init(labels: [Int]) throws {
    var places: [Int: [Int]] = [:]
    for (place, label) in labels.enumerated() where label >= 0 { places[label, default: []].append(place) }
    var fit: [Int] = []
    var judged: [Int] = []
    var oddClasses = 0
    for label in places.keys.sorted() {
      guard let ofClass = places[label] else { continue }
      var first = ofClass.count / 2
      if !ofClass.count.isMultiple(of: 2) {
        first += oddClasses % 2
        oddClasses += 1
      }
      fit += ofClass[..<first]
      judged += ofClass[first...]
    }
    guard !fit.isEmpty, !judged.isEmpty else { throw ProbeError.tooFew(images: fit.count + judged.count) }
    self.fit = fit.sorted()
    self.judged = judged.sorted()
  }

  /// Some rows of [rows x dimensions], one after the other.
  static func rows(_ places: [Int], of features: [Float], dimensions: Int) -> [Float] {
    var rows: [Float] = []
    rows.reserveCapacity(places.count * dimensions)
    for place in places { rows += features[place * dimensions..<(place + 1) * dimensions] }
    return rows
  }
}
