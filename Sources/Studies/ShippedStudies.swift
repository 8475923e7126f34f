/// The studies that the program carries.
public enum ShippedStudy: String, CaseIterable, Sendable {
  case norms, scope, escapes

  /// The study's JSON, as `study NAME --print` shows it.
  public var text: String {
    switch self {
    case .norms: Self.normsText
    case .scope: Self.scopeText
    case .escapes: Self.escapesText
    }
  }

  public static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

  public var file: StudyFile {
    get throws { try StudyFile(name: rawValue, source: rawValue, bytes: Array(text.utf8)) }
  }
}

extension StudyFile {
  /// Name and title in a line.
  public var line: String {
    let title = members.first { $0.key == "title" }?.value.string ?? ""
    return name + String(repeating: " ", count: max(1, 10 - name.count)) + title
  }
}
