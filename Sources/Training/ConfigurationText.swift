extension RunRequest {
  /// A run's first lines: which recipe is in force, and every setting in it, those that differ from the recipe marked
  /// with `*`.
  /// - Parameters:
  ///   - ranks: of the run.
  ///   - columns: characters of a line; a longer value has a line of its own.
  public func text(ranks: Int, columns: Int = TextWidth.standardOutput()) -> String {
    let base = recipe.configuration
    var usual = base
    (usual.method, usual.batch) = (configuration.method, configuration.batch)
    usual = usual.withMethodResolved(samples: nil)
    let changed = Configuration.settings.filter { setting in
      let (value, recipes) = (setting.json(in: configuration), setting.json(in: base))
      // What the recipe leaves to the method is changed where it is not the method's.
      return value != recipes && (recipes != .null || value != setting.json(in: usual))
    }
    let source = file.map { " with the settings of \(shown($0))" } ?? ""
    var lines = TextWidth.wrapped(
      "byol-dist \(byolDistVersion) on \(ranks) rank\(ranks == 1 ? "" : "s"): recipe \(recipe.rawValue)\(source)"
        + (changed.isEmpty ? "" : ", * where another value is in force"), to: columns, indent: 2)
    let isChanged = Set(changed.map(\.name))
    for group in SettingGroup.allCases {
      let cells = Configuration.settings.filter { $0.group == group }.compactMap { setting in
        setting.text(in: configuration).map { (isChanged.contains(setting.name) ? "*" : " ") + setting.name + " " + $0 }
      }
      lines += Self.rows(of: cells, columns: columns)
    }
    return lines.joined(separator: "\n")
  }

  /// The cells in aligned columns of at least 25 characters; a long one takes several columns.
  private static func rows(of cells: [String], columns width: Int) -> [String] {
    // A line begins with a space.
    let columns = max(1, (width - 1) / 25)
    let column = (width - 1) / columns
    var rows: [String] = []
    var row = ""
    for cell in cells {
      let start = (row.count + column - 1) / column * column
      if start > 0, start + cell.count > column * columns {
        rows.append(row)
        row = cell + " "
      } else {
        row += String(repeating: " ", count: start - row.count) + cell + " "
      }
    }
    if !row.isEmpty { rows.append(row) }
    return rows.map { " " + $0.trimmingSuffix(while: { $0 == " " }) }
  }
}

extension String {
  fileprivate func trimmingSuffix(while isTrimmed: (Character) -> Bool) -> String {
    var text = self
    while let last = text.last, isTrimmed(last) { text.removeLast() }
    return text
  }
}
