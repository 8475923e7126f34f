import Files

/// Where a setting's value came from, as messages name it.
public enum SettingSource: Equatable, Sendable {
  case flag
  case file(String)
}

/// The parts in which help and a run's first lines show the settings.
public enum SettingGroup: String, CaseIterable, Sendable {
  case data = "Data and views"
  case networks = "Method and networks"
  case optimization = "Optimization"
  case run = "The run"
}

/// What came of an attempt to set a value.
enum SettingOutcome { case done, wrong, unavailable }

/// One row of a table of settings: what flags, files, help and a run's first lines know of a property of `Target`.
public struct Setting<Target>: Sendable {
  /// The flag without its dashes, `weight-decay`.
  public let name: String
  public let group: SettingGroup
  /// What stands for the value in help: `N`, `PATH` or the choices.
  public let placeholder: String
  /// What a right value is: "a number above 0", "one of sgd, lars".
  public let expectation: String
  public let help: String
  /// Whether the run's results depend on it; a run may go on after a change of a setting of which they do not.
  public private(set) var shapesResults = true
  /// The setting that cannot be given beside this one.
  public private(set) var excludes: String?

  let read: @Sendable (Target) -> JSON
  let write: @Sendable (inout Target, SettingInput) -> SettingOutcome
  let available: @Sendable (Target) -> Bool

  /// The key in files, `weight_decay`.
  public var key: String { String(name.map { $0 == "-" ? "_" : $0 }) }

  public func json(in target: Target) -> JSON { read(target) }

  /// The value as people read it; nil where it is not set.
  public func text(in target: Target) -> String? {
    switch read(target) {
    case .null: nil
    case .string(let text): shown(text)
    case let value: value.description
    }
  }

  /// - Throws: `UsageError` naming flag or file, value and what would be right.
  public func set(_ input: SettingInput, in target: inout Target, from source: SettingSource) throws {
    let subject =
      switch source {
      case .flag: "--\(name) \(input.shownText)"
      case .file(let path): "\(shown(path)): \(key) \(input.shownText)"
      }
    switch write(&target, input) {
    case .done: break
    case .wrong:
      let right = input.respellings.first { spelling in
        var other = target
        return write(&other, spelling) == .done
      }
      throw UsageError("\(subject): should be \(expectation)\(right?.hint(for: input) ?? "")")
    case .unavailable: throw UsageError("\(subject): not available in this version; should be \(expectation)")
    }
  }

  /// The same setting of something that contains a `Target`.
  public func pulledBack<Whole>(_ path: WritableKeyPath<Whole, Target> & Sendable) -> Setting<Whole> {
    Setting<Whole>(
      name: name, group: group, placeholder: placeholder, expectation: expectation, help: help,
      shapesResults: shapesResults, excludes: excludes, read: { read($0[keyPath: path]) },
      write: { write(&$0[keyPath: path], $1) }, available: { available($0[keyPath: path]) })
  }

  /// The row of a setting that results do not depend on.
  var operational: Setting {
    var row = self
    row.shapesResults = false
    return row
  }
}

extension Setting {
  /// A row for a value in a range.
  /// - Parameter placeholder: what stands for it in help.
  /// - Parameter expectation: completes "should be …" for what `isValid` accepts.
  package init<Value: SettingValue>(
    _ name: String, _ path: WritableKeyPath<Target, Value> & Sendable, _ placeholder: String, in group: SettingGroup,
    expects expectation: String, _ help: String, isValid: @escaping @Sendable (Value) -> Bool
  ) {
    self.init(
      name: name, group: group, placeholder: placeholder, expectation: expectation, help: help,
      read: { $0[keyPath: path].json },
      write: { target, input in
        guard let value = Value(input), isValid(value) else { return .wrong }
        target[keyPath: path] = value
        return .done
      }, available: { _ in true })
  }

  /// A row for a value that may be unset.
  /// - Parameter excluded: the setting that giving this one unsets.
  package init<Value: SettingValue>(
    optional name: String, _ path: WritableKeyPath<Target, Value?> & Sendable, _ placeholder: String,
    in group: SettingGroup, expects expectation: String, _ help: String,
    excluding excluded: (name: String, path: WritableKeyPath<Target, Value?> & Sendable)? = nil,
    isValid: @escaping @Sendable (Value) -> Bool
  ) {
    let otherPath = excluded?.path
    self.init(
      name: name, group: group, placeholder: placeholder, expectation: expectation, help: help,
      excludes: excluded?.name, read: { $0[keyPath: path].json },
      write: { target, input in
        guard let value = Value?(input), value.map(isValid) ?? true else { return .wrong }
        // An unset value leaves the other of the two in force, so that a run's own file reads back as it was.
        if let otherPath {
          guard value != nil else { return .done }
          target[keyPath: otherPath] = nil
        }
        target[keyPath: path] = value
        return .done
      }, available: { _ in true })
  }

  /// A row for a value out of forms, of which this version may not have all.
  /// - Parameter note: what a right value keeps to beside its form.
  package init<Value: SettingValue>(
    _ name: String, _ path: WritableKeyPath<Target, Value> & Sendable, forms: [String], note: String = "",
    in group: SettingGroup, _ help: String, isAvailable: @escaping @Sendable (Value) -> Bool
  ) {
    self.init(
      name: name, group: group, placeholder: forms.joined(separator: "|"),
      expectation: (forms.count == 1 ? forms[0] : "one of " + forms.joined(separator: ", ")) + note, help: help,
      read: { $0[keyPath: path].json },
      write: { target, input in
        guard let value = Value(input) else { return .wrong }
        guard isAvailable(value) else { return .unavailable }
        target[keyPath: path] = value
        return .done
      }, available: { isAvailable($0[keyPath: path]) })
  }

  /// A row for a policy out of the `available` ones.
  package init<Policy: CaseIterable & RawRepresentable & Equatable & Sendable>(
    choice name: String, _ path: WritableKeyPath<Target, Policy> & Sendable, in group: SettingGroup,
    available: [Policy] = Array(Policy.allCases), _ help: String
  ) where Policy.RawValue == String {
    let forms = available.map(\.rawValue)
    self.init(
      name: name, group: group, placeholder: forms.joined(separator: "|"),
      expectation: forms.count == 1 ? forms[0] : "one of " + forms.joined(separator: ", "), help: help,
      read: { JSON($0[keyPath: path].rawValue) },
      write: { target, input in
        guard let text = String(input), let policy = Policy(rawValue: text) else { return .wrong }
        guard available.contains(policy) else { return .unavailable }
        target[keyPath: path] = policy
        return .done
      }, available: { available.contains($0[keyPath: path]) })
  }

  /// A row for a policy that may be unset.
  package init<Policy: CaseIterable & RawRepresentable & Equatable & Sendable>(
    optionalChoice name: String, _ path: WritableKeyPath<Target, Policy?> & Sendable, in group: SettingGroup,
    _ help: String
  ) where Policy.RawValue == String {
    let forms = Policy.allCases.map(\.rawValue)
    self.init(
      name: name, group: group, placeholder: forms.joined(separator: "|"),
      expectation: "one of " + forms.joined(separator: ", "), help: help,
      read: { $0[keyPath: path].map { JSON($0.rawValue) } ?? .null },
      write: { target, input in
        if case .json(.null) = input {
          target[keyPath: path] = nil
          return .done
        }
        guard let text = String(input), let policy = Policy(rawValue: text) else { return .wrong }
        target[keyPath: path] = policy
        return .done
      }, available: { _ in true })
  }
}
