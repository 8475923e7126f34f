/// SimCLR's normalised temperature-scaled cross entropy (Chen et al. 2020, equation 1): each of the batch's 2 B
/// projections is told from the 2 B - 1 others, of which the same image's other view is right and itself is left out.
///
/// The keys of all ranks stand in one row, view 0's images and then view 1's, each in the order of the ranks, so that a
/// rank's image has its place among all. `KeyComparison` computes with these places; the paper takes the mean over both
/// views, here the two means are summed.
enum NTXent {
  /// The column of the other view of an image of the global batch.
  static func positive(view: Int, image: Int, batch: Int) -> Int { (1 - view) * batch + image }

  /// The column of the projection itself, with which it is not compared.
  static func itself(view: Int, image: Int, batch: Int) -> Int { view * batch + image }
}
