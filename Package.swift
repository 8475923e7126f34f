// swift-tools-version: 6.0
import Foundation
import PackageDescription

/// Whether this machine has x86-64-v4's AVX-512.
func hasAVX512() -> Bool {
  let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
  guard let flags = lines.first(where: { $0.hasPrefix("flags") })?.split(separator: " ") else { return false }
  return ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"].allSatisfy { flags.contains(Substring($0)) }
}

// AVX2 and FMA everywhere (x86-64-v3), so that SIMD8<Float> is one register and inlined code agrees between modules; AVX-512
// (x86-64-v4) where the machine that builds has it. BYOL_DIST_MARCH decides otherwise, for a program that runs elsewhere.
// Bounds checks stay on outside Kernels.
let march = Context.environment["BYOL_DIST_MARCH"] ?? (hasAVX512() ? "x86-64-v4" : "x86-64-v3")
guard ["x86-64-v3", "x86-64-v4"].contains(march) else {
  FileHandle.standardError.write(Data("BYOL_DIST_MARCH is '\(march)'; should be x86-64-v3 or x86-64-v4\n".utf8))
  exit(1)
}
let vector: [SwiftSetting] =
  [.unsafeFlags(["-Xcc", "-march=\(march)"])] + (march == "x86-64-v4" ? [.define("AVX512")] : [])
let kernel: [SwiftSetting] = vector + [.unsafeFlags(["-Ounchecked"])]

func floor(_ name: String, _ below: [Target.Dependency], settings: [SwiftSetting] = vector) -> Target {
  .target(name: name, dependencies: below, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, exclude: ["Fixtures"],
    swiftSettings: vector)
}

let package = Package(
  name: "byol-dist",
  products: [.executable(name: "byol-dist", targets: ["byol-dist"])],
  targets: [
    .systemLibrary(name: "CHwloc"),
    .systemLibrary(name: "CMPI"),
    .systemLibrary(name: "COpenBLAS"),
    .systemLibrary(name: "CPNG"),
    .systemLibrary(name: "CVector"),
    .systemLibrary(name: "CZlib"),
    floor("Machine", ["CHwloc"]),
    floor("Kernels", ["COpenBLAS", "CVector"], settings: kernel),
    floor("Collectives", ["CMPI", "Machine"]),
    floor("Files", ["CZlib", "Machine"]),
    floor("Layers", ["Kernels", "Collectives"]),
    floor("Images", ["Machine", "Kernels", "Files", "CPNG"]),
    floor("Methods", ["Kernels", "Collectives", "Layers"]),
    floor("Evaluation", ["Kernels", "Collectives", "COpenBLAS"]),
    floor("Training", ["Machine", "Kernels", "Collectives", "Layers", "Images", "Methods", "Evaluation", "Files"]),
    floor("Studies", ["Collectives", "Training", "Evaluation", "Files"]),
    floor(
      "Benchmarks", ["Kernels", "Collectives", "Layers", "Images", "Methods", "Evaluation", "Training", "Files"]),
    .executableTarget(
      name: "byol-dist",
      dependencies: [
        "Studies", "Benchmarks", "Kernels", "Collectives", "Layers", "Images", "Methods", "Training", "Evaluation",
        "Files",
      ],
      swiftSettings: vector),
    // What tests of networks share: fixtures by torch's names, distances, rigs around single layers.
    .target(
      name: "NetworkTesting", dependencies: ["Kernels", "Collectives", "Files", "Layers"], path: "Tests/NetworkTesting",
      swiftSettings: vector),
    .executableTarget(
      name: "multirank-tests",
      dependencies: [
        "NetworkTesting", "Machine", "Kernels", "Collectives", "Layers", "Images", "Methods", "Training", "Evaluation",
        "Studies", "Files", "CAllocations",
      ],
      path: "Tests/MultiRank", swiftSettings: vector),
    // Counts what a thread allocates.
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    tests("Machine", []),
    tests("Kernels", ["Files"]),
    tests("Files", ["Machine"]),
    tests("Collectives", []),
    tests("Layers", ["NetworkTesting", "Kernels", "Collectives", "Files"]),
    tests("Images", ["Kernels", "Files"]),
    tests("Methods", ["NetworkTesting", "Kernels", "Collectives", "Layers", "Files"]),
    tests("Evaluation", ["Machine", "Kernels", "Collectives", "Files"]),
    tests(
      "Training",
      [
        "NetworkTesting", "CAllocations", "Kernels", "Collectives", "Layers", "Images", "Methods", "Evaluation",
        "Files",
      ]),
    tests("Studies", ["NetworkTesting", "Collectives", "Training", "Files"]),
    tests("byol-dist", ["Training", "Studies", "Images", "Files"]),
  ],
  swiftLanguageModes: [.v6]
)
