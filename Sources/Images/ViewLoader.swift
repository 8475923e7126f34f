import Foundation
import Kernels
import Machine

/// Makes the views of coming steps on background threads while the network works on the present one.
///
/// A bounded ring of batches is filled in order; a caller that has to wait helps. Every view is a pure function of
/// (seed, epoch, sample, view), so neither the number of workers nor chance changes what comes out.
public final class ViewLoader: @unchecked Sendable {
  /// Images of the rank's share of a batch, and floats of one view of one.
  public let localBatch: Int
  public let viewCount: Int
  private let dataset: any ImageDataset
  private let sampler: ShardedSampler
  private let recipe: ViewRecipe
  private let endStep: Int
  private let slots: [Slot]
  private let callerScratch: ViewScratch

  // Everything below is guarded by `mutex`.
  private let mutex = NSCondition()
  /// The step whose images are being handed out, and how many have been.
  private var openStep: Int
  private var handedOut = 0
  /// The step that the next `next()` returns, and the first step whose slot may not be written yet.
  private var nextStep: Int
  private var freeUntil: Int
  private var stopped = false
  /// Why an image could not be read; nothing more comes then.
  private var failure: (any Error)?
  private var running = 0

  /// One batch in the ring.
  private final class Slot {
    let views: AlignedBuffer
    let indices: UnsafeMutableBufferPointer<Int>
    var finished = 0

    init(floats: Int, images: Int) {
      views = AlignedBuffer(count: floats, for: "views")
      indices = .allocate(capacity: images)
    }

    deinit { indices.deallocate() }
  }

  /// A few images of a step, the unit that a thread takes.
  private struct Work {
    let step: Int
    let images: Range<Int>
  }
  private static let grain = 4

  /// - Parameters:
  ///   - startStep, endStep: global steps, endStep excluded; a step's epoch is step / stepsPerEpoch.
  ///   - workers: background threads; with 0 each batch is made inside `next()`.
  ///   - ahead: batches that may be finished before they are asked for, at least 1.
  public init(
    dataset: any ImageDataset, sampler: ShardedSampler, recipe: ViewRecipe, startStep: Int, endStep: Int, workers: Int,
    ahead: Int
  ) {
    precondition(startStep >= 0 && endStep >= startStep, "steps \(startStep) to \(endStep)")
    precondition(workers >= 0 && ahead >= 1, "\(workers) workers, \(ahead) batches ahead")
    precondition(sampler.count == dataset.count, "a sampler of \(sampler.count) for \(dataset.count) images")
    self.dataset = dataset
    self.sampler = sampler
    self.recipe = recipe
    self.endStep = endStep
    let images = sampler.localBatch
    let floats = 2 * images * recipe.viewCount
    localBatch = images
    viewCount = recipe.viewCount
    // One more than those ahead: the batch that the caller holds.
    slots = (0...(workers == 0 ? 0 : ahead)).map { _ in Slot(floats: floats, images: images) }
    callerScratch = Self.scratch(dataset, recipe)
    openStep = startStep
    nextStep = startStep
    freeUntil = min(endStep, startStep + slots.count)
    running = workers
    for index in 0..<workers {
      let scratch = Unshared(Self.scratch(dataset, recipe))
      let thread = Thread { [self] in serve(scratch.value) }
      thread.name = "views-\(index)"
      thread.stackSize = 1 << 20
      thread.start()
    }
  }

  /// The views of the next step: [view 0: localBatch images][view 1: localBatch images], each imageSize x imageSize x 3
  /// normalised floats. Valid until the next call; waits while they are not finished.
  ///
  /// - Throws: `ImageError.noMoreBatches` after the last step or `stop()`; `FileError` for an image that cannot be read,
  ///   on this rank alone.
  public func next() throws -> UnsafePointer<Float> {
    mutex.lock()
    defer { mutex.unlock() }
    if let failure { throw failure }
    guard nextStep < endStep, !stopped else { throw ImageError.noMoreBatches(step: nextStep) }
    let step = nextStep
    nextStep += 1
    // The batch that the caller held until now may be overwritten.
    freeUntil = min(endStep, step + slots.count)
    mutex.broadcast()
    // Until all images of the step are handed out, the slot's count may still be an earlier step's.
    while openStep <= step || slot(step).finished < localBatch {
      if let failure { throw failure }
      if stopped { throw ImageError.noMoreBatches(step: step) }
      if openStep <= step, let work = take() { make(work, callerScratch) } else { mutex.wait() }
    }
    return UnsafePointer(slot(step).views.pointer)
  }

  /// Ends the background threads and waits for them; what `next()` returned stays valid as long as the loader does.
  public func stop() {
    mutex.lock()
    stopped = true
    mutex.broadcast()
    while running > 0 { mutex.wait() }
    mutex.unlock()
  }

  private func serve(_ scratch: ViewScratch) {
    mutex.lock()
    while !stopped && openStep < endStep {
      if let work = take() { make(work, scratch) } else { mutex.wait() }
    }
    running -= 1
    mutex.broadcast()
    mutex.unlock()
  }

  /// The next images to make, or nil while the ring is full. Called with the lock held.
  private func take() -> Work? {
    guard !stopped, openStep < freeUntil else { return nil }
    let slot = slot(openStep)
    if handedOut == 0 {
      slot.finished = 0
      sampler.localIndices(
        epoch: openStep / sampler.stepsPerEpoch, step: openStep % sampler.stepsPerEpoch, into: slot.indices)
    }
    let end = min(handedOut + Self.grain, localBatch)
    let work = Work(step: openStep, images: handedOut..<end)
    handedOut = end
    if handedOut == localBatch {
      openStep += 1
      handedOut = 0
    }
    return work
  }

  /// Makes both views of some images. Called with the lock held, which it gives up meanwhile.
  private func make(_ work: Work, _ scratch: ViewScratch) {
    let slot = slot(work.step)
    mutex.unlock()
    var fault: (any Error)?
    do { try fill(slot, work, scratch) } catch { fault = error }
    mutex.lock()
    if let fault {
      failure = failure ?? fault
      stopped = true
      mutex.broadcast()
      return
    }
    slot.finished += work.images.count
    if slot.finished == localBatch { mutex.broadcast() }
  }

  private func fill(_ slot: Slot, _ work: Work, _ scratch: ViewScratch) throws {
    let epoch = work.step / sampler.stepsPerEpoch
    for image in work.images {
      ProgressCount.advance()
      let sample = slot.indices[image]
      try dataset.copyImage(sample, into: scratch.source)
      for view in 0..<2 {
        recipe.makeView(
          source: scratch.source, height: dataset.height, width: dataset.width, epoch: epoch, sample: sample,
          view: view,
          into: slot.views.pointer + (view * localBatch + image) * viewCount, scratch: scratch)
      }
    }
  }

  private func slot(_ step: Int) -> Slot { slots[step % slots.count] }

  private static func scratch(_ dataset: any ImageDataset, _ recipe: ViewRecipe) -> ViewScratch {
    ViewScratch(height: dataset.height, width: dataset.width, imageSize: recipe.imageSize)
  }
}

/// Hands a value to the one thread that will use it from then on.
private struct Unshared<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
