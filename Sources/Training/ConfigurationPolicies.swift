/// A yes or no that flags and files spell `on` and `off`.
public enum Switch: String, CaseIterable, Codable, Sendable {
  case on, off

  public var isOn: Bool { self == .on }
}

/// What `--resume` says about a run directory that is already there.
public enum ResumePolicy: String, CaseIterable, Codable, Sendable {
  /// Goes on with an unfinished run of the same settings; starts afresh where there is none.
  case auto
  /// Refuses a directory that holds a run.
  case never
  /// Refuses to start from nothing.
  case must
}

/// What happens when projections of different images have become the same.
public enum CollapsePolicy: String, CaseIterable, Codable, Sendable {
  /// The run says so and goes on: some leave a collapse again.
  case warn
  /// The run ends as one that has taken all its steps does: checkpoint, probe, summary, status 0.
  case stop
}

/// How the target's rate of forgetting tau changes over a run.
public enum EMASchedule: String, CaseIterable, Codable, Sendable {
  /// tau(t) = 1 - (1 - tau)(1 + cos(pi t/T))/2: from `ema` to 1 (Grill et al. 2020).
  case cosine
  case constant
}
