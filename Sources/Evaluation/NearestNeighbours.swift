import COpenBLAS
import Collectives
import Foundation

/// The weighted k-nearest-neighbours classifier of instance discrimination (Wu et al. 2018, section 3.4): the features of
/// one half of a split (`ProbeSplit`) are the bank, those of the other half are judged; neighbours by cosine, the vote of
/// each weighs exp(cosine / T).
public enum NearestNeighbours {
  /// The paper's, of banks of many thousands.
  public static let most = 200
  public static let temperature = 0.1
  private static let block = 128

  /// Neighbours for a bank: `most`, and in a small bank half of what it has of a class.
  public static func neighbours(bank: Int, classes: Int) -> Int {
    max(1, min(most, bank / max(1, 2 * classes)))
  }

  /// Accuracy in percent on the judged half.
  ///
  /// - Parameters:
  ///   - features: [labels.count x dimensions], row-major, in the split's order.
  ///   - classes: nil takes one more than the largest label.
  ///   - k: neighbours; nil takes `neighbours`.
  /// - Throws: `ProbeError` where there are too few images, or a feature is no number.
  public static func accuracy(
    features: [Float], labels: [Int], classes: Int? = nil, k: Int? = nil, temperature: Double = temperature
  ) throws -> Double {
    let split = try ProbeSplit(labels: labels)
    let dimensions = try ProbeError.checkedDimensions(features, images: labels.count)
    let classes = classes ?? (labels.max() ?? 0) + 1
    let bank = split.fit.count
    var voting = Voting(
      labels: split.fit.map { labels[$0] }, classes: classes, temperature: temperature,
      k: min(bank, k ?? neighbours(bank: bank, classes: classes)))
    func units(_ places: [Int]) -> [Float] {
      unitRows(ProbeSplit.rows(places, of: features, dimensions: dimensions), dimensions: dimensions)
    }
    let (keys, queries) = (units(split.fit), units(split.judged))
    var cosines = [Float](repeating: 0, count: block * bank)
    var right = 0
    for start in stride(from: 0, to: split.judged.count, by: block) {
      CollectiveWatchdog.progress()
      let rows = min(block, split.judged.count - start)
      queries.withUnsafeBufferPointer { queries in
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(bank), Int32(dimensions), 1,
          queries.baseAddress! + start * dimensions, Int32(dimensions), keys, Int32(dimensions), 0, &cosines,
          Int32(bank))
      }
      for row in 0..<rows {
        let vote = voting.vote(cosines[(row * bank)..<((row + 1) * bank)])
        if vote == labels[split.judged[start + row]] { right += 1 }
      }
    }
    return 100 * Double(right) / Double(split.judged.count)
  }

  /// Rows scaled to length 1; a row of zeros stays one.
  private static func unitRows(_ rows: [Float], dimensions: Int) -> [Float] {
    var units = rows
    for start in stride(from: 0, to: rows.count, by: max(1, dimensions)) {
      var square = 0.0
      for place in start..<(start + dimensions) { square += Double(rows[place]) * Double(rows[place]) }
      let scale = Float(1 / max(square.squareRoot(), 1e-12))
      for place in start..<(start + dimensions) { units[place] *= scale }
    }
    return units
  }
}

/// The vote of the nearest of a bank.
private struct Voting {
  let labels: [Int]
  let temperature: Double
  let k: Int
  private var votes: [Double]
  /// The nearest so far, the farthest of them at 0: a heap.
  private var nearest: [(cosine: Float, index: Int)] = []

  init(labels: [Int], classes: Int, temperature: Double, k: Int) {
    self.labels = labels
    self.temperature = temperature
    self.k = k
    votes = [Double](repeating: 0, count: classes)
    nearest.reserveCapacity(k)
  }

  /// The class with most votes; of those with as many the first, and of neighbours as near the first too.
  mutating func vote(_ cosines: ArraySlice<Float>) -> Int {
    nearest.removeAll(keepingCapacity: true)
    for (index, cosine) in cosines.enumerated() {
      if nearest.count < k {
        nearest.append((cosine, index))
        if nearest.count == k { for place in stride(from: k / 2, through: 0, by: -1) { sink(place) } }
      } else if cosine > nearest[0].cosine {
        nearest[0] = (cosine, index)
        sink(0)
      }
    }
    for label in votes.indices { votes[label] = 0 }
    for neighbour in nearest { votes[labels[neighbour.index]] += exp(Double(neighbour.cosine) / temperature) }
    return votes.indices.reduce(0) { votes[$1] > votes[$0] ? $1 : $0 }
  }

  /// Whether `a` goes before `b`: a smaller cosine, or as small a one of a later image.
  private func isFarther(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (nearest[a], nearest[b])
    return x.cosine < y.cosine || (x.cosine == y.cosine && x.index > y.index)
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var first = place
      for child in (2 * place + 1)...(2 * place + 2) where child < nearest.count && isFarther(child, first) {
        first = child
      }
      guard first != place else { return }
      nearest.swapAt(place, first)
      place = first
    }
  }
}
