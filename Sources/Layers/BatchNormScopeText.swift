// The one place where a scope is text: `sync`, `node`, `group:K`, `local`, `ghost:N`.

extension BatchNormScope {
  /// The greatest K and N: the greatest batch, which no scope can exceed. Products with it fit an Int.
  public static let greatestCount = 1_048_576

  /// K or N, which is in 1...greatestCount; nil where the form has none.
  public var count: Int? {
    switch self {
    case .group(let count), .ghost(let count): count
    case .sync, .node, .local: nil
    }
  }
}

extension BatchNormScope: LosslessStringConvertible {
  /// - Returns: nil unless the text is one of the five forms with K and N in 1...greatestCount, in plain digits.
  public init?(_ description: String) {
    func count(after prefix: String) -> Int? {
      guard description.hasPrefix(prefix) else { return nil }
      let digits = description.dropFirst(prefix.count)
      guard digits.allSatisfy({ ("0"..."9").contains($0) }), let count = Int(digits) else {
        return nil
      }
      return (1...Self.greatestCount).contains(count) ? count : nil
    }
    switch description {
    case "sync": self = .sync
    case "node": self = .node
    case "local": self = .local
    default:
      if let ranks = count(after: "group:") {
        self = .group(ranks)
      } else if let samples = count(after: "ghost:") {
        self = .ghost(samples)
      } else {
        return nil
      }
    }
  }

  public var description: String {
    switch self {
    case .sync: "sync"
    case .node: "node"
    case .group(let ranks): "group:\(ranks)"
    case .local: "local"
    case .ghost(let samples): "ghost:\(samples)"
    }
  }
}

extension BatchNormScope: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let scope = BatchNormScope(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no batch-norm scope")
    }
    self = scope
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
