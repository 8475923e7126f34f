// swift-tools-version: 6.0
import PackageDescription

// AVX2 and FMA everywhere, so that SIMD8<Float> is one register and inlined code agrees between modules; bounds checks
// stay on outside Kernels.
let vector: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=x86-64-v3"])]
let kernel: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=x86-64-v3", "-Ounchecked"])]

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
    .systemLibrary(name: "CMPI"),
    .systemLibrary(name: "COpenBLAS"),
    .systemLibrary(name: "CPNG"),
    .systemLibrary(name: "CVector"),
    .systemLibrary(name: "CZlib"),
    floor("Kernels", ["COpenBLAS", "CVector"], settings: kernel),
    floor("Collectives", ["CMPI"]),
    floor("Files", ["CZlib"]),
    floor("Layers", ["Kernels", "Collectives"]),
    floor("Images", ["Kernels", "Files", "CPNG"]),
    floor("Methods", ["Kernels", "Collectives", "Layers"]),
    floor("Evaluation", ["Kernels", "Collectives", "COpenBLAS"]),
    floor("Training", ["Kernels", "Collectives", "Layers", "Images", "Methods", "Evaluation", "Files"]),
    floor("Studies", ["Collectives", "Training", "Files"]),
    floor("Benchmarks", ["Kernels", "Collectives", "Layers", "Images", "Methods", "Training", "Files"]),
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
        "NetworkTesting", "Kernels", "Collectives", "Layers", "Images", "Methods", "Training", "Evaluation", "Studies",
        "Files",
      ],
      path: "Tests/MultiRank", swiftSettings: vector),
    tests("Kernels", ["Files"]),
    tests("Files", []),
    tests("Collectives", []),
    tests("Layers", ["NetworkTesting", "Kernels", "Collectives", "Files"]),
    tests("Images", ["Kernels", "Files"]),
    tests("Methods", ["NetworkTesting", "Kernels", "Collectives", "Layers", "Files"]),
    tests("Evaluation", ["Kernels", "Collectives", "Files"]),
    tests(
      "Training",
      ["NetworkTesting", "Kernels", "Collectives", "Layers", "Images", "Methods", "Evaluation", "Files"]),
    tests("Studies", ["NetworkTesting", "Collectives", "Training", "Files"]),
    tests("byol-dist", ["Training", "Studies"]),
  ],
  swiftLanguageModes: [.v6]
)
