import Collectives
import Kernels
import Layers

/// Predictions told from negatives by logits cos/T, over the global batch: the cross entropies of MoCo (He et al. 2020,
/// equation 1), of SimCLR (`NTXent`) and of Fetterman & Albrecht (2020), and their binary cross entropy.
///
/// The keys of all ranks are gathered; the keys' gradient, where it does not stop, is summed over the ranks and each
/// takes its own rows', which is the exact gradient through the gather. The sum of both directions' means.
package final class KeyComparison: StepLoss {
  private let plan: ComparisonPlan
  private let rows: Int
  private let dimensions: Int
  private let world: Communicator
  private let context: NetworkContext
  package let queue: KeyQueue?
  /// Unit queries [2 * rows x dimensions], and the gradient of one direction's.
  private let units: AlignedBuffer
  private let unitGradient: AlignedBuffer
  private let queryInverses: AlignedBuffer
  /// Unit keys of all ranks, [2 x batch x dimensions], each view in the order of the ranks, and their gradient.
  private let keys: AlignedBuffer
  private let keyGradient: AlignedBuffer
  private let keyInverses: AlignedBuffer
  /// One direction's logits, [rows x columns]: from a queue the own key's is the last.
  private let logits: AlignedBuffer
  private let columns: Int
  private let rowLosses: UnsafeMutablePointer<Double>
  private var batch: Int { rows * world.size }

  /// - Parameter keyGradient: whether the keys' gradient is wanted.
  init(
    _ plan: ComparisonPlan, rows: Int, dimensions: Int, keyGradient wantsKeyGradient: Bool, world: Communicator,
    context: NetworkContext
  ) {
    self.plan = plan
    self.rows = rows
    self.dimensions = dimensions
    self.world = world
    self.context = context
    let batch = rows * world.size
    switch plan.negatives {
    case .batch:
      columns = batch
      queue = nil
    case .bothViews:
      columns = 2 * batch
      queue = nil
    case .queue(let count):
      columns = count + 1
      queue = KeyQueue(count: count, dimensions: dimensions)
    }
    units = AlignedBuffer(count: 2 * rows * dimensions)
    unitGradient = AlignedBuffer(count: rows * dimensions)
    queryInverses = AlignedBuffer(count: 2 * rows)
    keys = AlignedBuffer(count: 2 * batch * dimensions, for: "the keys of all ranks")
    keyGradient = AlignedBuffer(count: wantsKeyGradient ? 2 * batch * dimensions : 0)
    keyInverses = AlignedBuffer(count: 2 * rows)
    logits = AlignedBuffer(count: rows * columns, for: "logits")
    rowLosses = .allocate(capacity: rows)
    rowLosses.initialize(repeating: 0, count: rows)
  }

  deinit { rowLosses.deallocate() }

  package func evaluate(_ input: LossRows, globalRows: Int) throws -> Double {
    precondition(globalRows == batch && input.rows == rows, "keys are gathered from all of the batch's ranks")
    UnitRows.forward(
      input.queries, count: 2 * rows, dimensions: dimensions, into: units.pointer, inverses: queryInverses.pointer,
      team: context.team)
    try gather(input.keys)
    let wantsKeyGradient = input.keyGradient != nil
    if wantsKeyGradient { keyGradient.pointer.update(repeating: 0, count: keyGradient.count) }
    var loss = 0.0
    for view in 0..<2 {
      fillLogits(view)
      loss += turnIntoGradients(view)
      multiplyBack(view, keyGradient: wantsKeyGradient)
      let at = view * rows * dimensions
      UnitRows.backward(
        unitGradient.pointer, units: units.pointer + at, inverses: queryInverses.pointer + view * rows, count: rows,
        dimensions: dimensions, into: input.queryGradient + at, team: context.team)
    }
    if let gradient = input.keyGradient { try scatter(into: gradient) }
    for view in 0..<2 { queue?.push(keys.pointer + view * batch * dimensions, count: batch) }
    return loss
  }

  /// Puts the keys of all ranks in one place, in the order of the ranks.
  private func gather(_ own: UnsafePointer<Float>) throws {
    for view in 0..<2 {
      let all = UnsafeMutableBufferPointer(
        start: keys.pointer + view * batch * dimensions, count: batch * dimensions)
      let mine = UnsafeMutableBufferPointer(rebasing: all[ownRange])
      UnitRows.forward(
        own + view * rows * dimensions, count: rows, dimensions: dimensions, into: mine.baseAddress!,
        inverses: keyInverses.pointer + view * rows, team: context.team)
      try context.clock.measure(.communication) { try world.allGather(UnsafeBufferPointer(mine), into: all) }
    }
  }

  /// Where this rank's rows lie among one view's floats of all ranks.
  private var ownRange: Range<Int> {
    world.rank * rows * dimensions..<(world.rank + 1) * rows * dimensions
  }

  /// What one direction's queries are multiplied with, [columns x dimensions] but for a queue's own key.
  private func columnKeys(_ view: Int) -> (pointer: UnsafeMutablePointer<Float>, count: Int) {
    switch plan.negatives {
    case .batch: (keys.pointer + (1 - view) * batch * dimensions, batch)
    case .bothViews: (keys.pointer, 2 * batch)
    case .queue(let count): (queue!.keys.pointer, count)
    }
  }

  /// The unit query and own key of an image of this rank.
  private func pair(_ view: Int, _ row: Int) -> (query: UnsafeMutablePointer<Float>, key: UnsafeMutablePointer<Float>) {
    (
      units.pointer + (view * rows + row) * dimensions,
      keys.pointer + ((1 - view) * batch + world.rank * rows + row) * dimensions
    )
  }

  private func fillLogits(_ view: Int) {
    let (pointer, count) = columnKeys(view)
    multiply(
      m: rows, n: count, k: dimensions, a: units.pointer + view * rows * dimensions, lda: dimensions, b: pointer,
      ldb: dimensions, bTransposed: true, c: logits.pointer, ldc: columns)
    for row in 0..<rows {
      switch plan.negatives {
      case .batch: break
      case .bothViews:
        logits.pointer[row * columns + NTXent.itself(view: view, image: world.rank * rows + row, batch: batch)] =
          -.infinity
      case .queue:
        let (query, key) = pair(view, row)
        var product = 0.0
        for d in 0..<dimensions { product += Double(query[d]) * Double(key[d]) }
        logits.pointer[row * columns + count] = Float(product)
      }
    }
  }

  /// The own key's column.
  private func positive(_ view: Int, _ row: Int) -> Int {
    let image = world.rank * rows + row
    return switch plan.negatives {
    case .batch: image
    case .bothViews: NTXent.positive(view: view, image: image, batch: batch)
    case .queue(let count): count
    }
  }

  /// Replaces one direction's cosines by the loss's gradient with respect to them.
  /// - Returns: this rank's share of the direction's mean.
  private func turnIntoGradients(_ view: Int) -> Double {
    let negatives =
      switch plan.negatives {
      case .batch: batch - 1
      case .bothViews: 2 * batch - 2
      case .queue(let count): count
      }
    let scale = 1 / Double(batch)
    context.team.split(rows) { range in
      for row in range {
        let cosines = logits.pointer + row * columns
        let own = positive(view, row)
        rowLosses[row] =
          switch plan.loss {
          case .crossEntropy(let alpha):
            CrossEntropy.row(
              cosines, count: columns, positive: own, temperature: plan.temperature,
              negativeWeight: alpha.map { $0 / Double(max(1, negatives)) } ?? 1, scale: scale)
          case .binaryCrossEntropy:
            BinaryCrossEntropy.row(
              cosines, count: columns, positive: own, temperature: plan.temperature, logits: negatives + 1,
              scale: scale)
          }
      }
    }
    var loss = 0.0
    for row in 0..<rows { loss += rowLosses[row] }
    return loss * scale
  }

  /// From the cosines' gradient to that of one direction's unit queries and, where wanted, of the unit keys.
  private func multiplyBack(_ view: Int, keyGradient wantsKeyGradient: Bool) {
    let (pointer, count) = columnKeys(view)
    multiply(
      m: rows, n: dimensions, k: count, a: logits.pointer, lda: columns, b: pointer, ldb: dimensions,
      bTransposed: false, c: unitGradient.pointer, ldc: dimensions)
    let queries = units.pointer + view * rows * dimensions
    switch plan.negatives {
    case .queue:
      for row in 0..<rows {
        let slope = logits.pointer[row * columns + count]
        let (query, key) = pair(view, row)
        let gradient = unitGradient.pointer + row * dimensions
        for d in 0..<dimensions { gradient[d] += slope * key[d] }
        guard wantsKeyGradient else { continue }
        let own = keyGradient.pointer + (key - keys.pointer)
        for d in 0..<dimensions { own[d] += slope * query[d] }
      }
    case .batch, .bothViews:
      guard wantsKeyGradient else { return }
      multiply(
        m: count, n: dimensions, k: rows, a: logits.pointer, lda: columns, aTransposed: true, b: queries,
        ldb: dimensions, bTransposed: false, c: keyGradient.pointer + (pointer - keys.pointer), ldc: dimensions,
        accumulate: true)
    }
  }

  /// Sums the keys' gradient over the ranks and keeps this rank's rows.
  private func scatter(into gradient: UnsafeMutablePointer<Float>) throws {
    try context.clock.measure(.communication) { try world.allReduce(keyGradient.floats, .sum) }
    for view in 0..<2 {
      let own = view * batch * dimensions + ownRange.lowerBound
      UnitRows.backward(
        keyGradient.pointer + own, units: keys.pointer + own, inverses: keyInverses.pointer + view * rows,
        count: rows, dimensions: dimensions, into: gradient + view * rows * dimensions, team: context.team)
    }
  }

  private func multiply(
    m: Int, n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, aTransposed: Bool = false, b: UnsafePointer<Float>,
    ldb: Int, bTransposed: Bool, c: UnsafeMutablePointer<Float>, ldc: Int, accumulate: Bool = false
  ) {
    context.clock.measure(.gemm) {
      MatrixMultiply.run(
        m: m, n: n, k: k, a: a, lda: lda, aTransposed: aTransposed, b: b, ldb: ldb, bTransposed: bTransposed, c: c,
        ldc: ldc, accumulate: accumulate, team: context.team, scratch: context.scratch)
    }
  }
}
