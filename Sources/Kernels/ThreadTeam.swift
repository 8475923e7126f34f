import Foundation
import Synchronization

/// The threads of one rank: `threads - 1` workers that wait between kernels, and the caller as thread 0.
///
/// Work is divided statically, or dealt in pieces whose results do not depend on who computes them, so the same thread
/// count gives the same bits. A team of one runs the body in place.
/// Workers spin for some microseconds after a kernel, since the next one usually follows at once, and then sleep.
/// Only one thread, always the same, may call `run`, `split` or `deal`.
public final class ThreadTeam: @unchecked Sendable {
  public let threads: Int
  private let generation = Atomic<Int>(0)
  private let running = Atomic<Int>(0)
  /// The next piece to be dealt.
  private let next = Atomic<Int>(0)
  private let isOver = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private var work: UnsafeRawPointer?
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// How often a worker looks for work before it sleeps; 0 when the host has fewer cores than busy threads.
  private let spins: Int

  /// - Parameters:
  ///   - threads: at least 1, the calling thread included.
  ///   - spins: looks for work before a worker sleeps; few where cores are shared.
  public init(threads: Int, spins: Int = 20_000) {
    precondition(threads >= 1, "a team needs at least one thread, not \(threads)")
    self.threads = threads
    self.spins = spins
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    for index in 1..<max(threads, 1) {
      let thread = Thread { [self] in serve(index) }
      thread.name = "team-\(index)"
      thread.stackSize = 4 << 20
      thread.start()
    }
  }

  deinit {
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    wake.deallocate()
    mutex.deallocate()
  }

  /// Ends the workers, which hold the team until then; what its owner does last.
  public func end() {
    isOver.store(true, ordering: .relaxed)
    generation.add(1, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  /// Calls `body(thread)` once for each of 0..<threads, at the same time, and returns when all have finished.
  public func run(_ body: (Int) -> Void) {
    guard threads > 1 else { return body(0) }
    precondition(!isOver.load(ordering: .relaxed), "a team that has ended has no threads")
    withoutActuallyEscaping(body) { escapable in
      withUnsafePointer(to: escapable) { pointer in
        work = UnsafeRawPointer(pointer)
        running.store(threads - 1, ordering: .relaxed)
        generation.add(1, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
          pthread_mutex_lock(mutex)
          pthread_cond_broadcast(wake)
          pthread_mutex_unlock(mutex)
        }
        body(0)
        var looks = 0
        while running.load(ordering: .acquiring) > 0 {
          looks += 1
          if looks > spins { sched_yield() }
        }
        work = nil
      }
    }
  }

  /// Cuts 0..<count into one contiguous range a thread, at multiples of `grain`, and runs `body` on the ranges that
  /// are not empty.
  public func split(_ count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
    if threads == 1 || count <= grain {
      if count > 0 { body(0..<count) }
      return
    }
    run { thread in
      let range = share(of: count, thread: thread, grain: grain)
      if !range.isEmpty { body(range) }
    }
  }

  /// Calls `body(thread, index)` once for every index of 0..<count, which the threads take in order as they get free: a slow
  /// core takes fewer. Within one call nothing else of the team may be called.
  public func deal(_ count: Int, _ body: (_ thread: Int, _ index: Int) -> Void) {
    guard threads > 1 && count > 1 else {
      for index in 0..<count { body(0, index) }
      return
    }
    next.store(0, ordering: .relaxed)
    run { thread in
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        if index >= count { return }
        body(thread, index)
      }
    }
  }

  /// The calling thread by itself: what kernels are given inside `deal`.
  public static let alone = ThreadTeam(threads: 1)

  /// The part of 0..<count that `split` gives to a thread.
  public func share(of count: Int, thread: Int, grain: Int = 1) -> Range<Int> {
    let pieces = (count + grain - 1) / grain
    let low = pieces * thread / threads * grain
    let high = pieces * (thread + 1) / threads * grain
    return min(low, count)..<min(high, count)
  }

  private func serve(_ thread: Int) {
    var seen = 0
    while true {
      var looks = 0
      while generation.load(ordering: .acquiring) == seen {
        looks += 1
        if looks > spins { sleep(whileGenerationIs: seen) }
      }
      if isOver.load(ordering: .relaxed) { return }
      seen += 1
      work!.assumingMemoryBound(to: ((Int) -> Void).self).pointee(thread)
      running.subtract(1, ordering: .releasing)
    }
  }

  private func sleep(whileGenerationIs seen: Int) {
    pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while generation.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
    sleepers.subtract(1, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }
}
