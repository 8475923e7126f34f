/// The names that other programs have for settings, so that a message can say which one is meant here.
package enum SettingNames {
  /// How other programs call a setting of this one.
  private static let others: [String: String] = [
    "learning-rate": "lr", "base-lr": "lr", "blr": "lr", "wd": "weight-decay", "decay": "weight-decay",
    "l2": "weight-decay", "bs": "batch", "batch-size": "batch", "batchsize": "batch", "global-batch-size": "batch",
    "train-batch-size": "batch", "per-device-train-batch-size": "batch", "workers": "threads", "num-workers": "threads",
    "n-workers": "threads", "num-threads": "threads", "nthreads": "threads", "cpus": "threads", "cores": "threads",
    "jobs": "threads", "omp-num-threads": "threads", "arch": "encoder", "model": "encoder", "backbone": "encoder",
    "network": "encoder", "architecture": "encoder", "net": "encoder", "output": "out", "out-dir": "out",
    "output-dir": "out", "outdir": "out", "save-dir": "out", "run-dir": "out", "log-dir": "out", "logdir": "out",
    "workdir": "out", "dir": "out", "work-dir": "out", "checkpoint-dir": "out", "ckpt-dir": "out", "exp-dir": "out",
    "dataset": "data", "data-dir": "data", "data-path": "data", "dataset-path": "data", "data-root": "data",
    "root": "data", "max-steps": "steps", "num-steps": "steps", "n-steps": "steps", "iterations": "steps",
    "iters": "steps", "max-iter": "steps", "max-iters": "steps", "max-epochs": "epochs", "n-epochs": "epochs",
    "num-epochs": "epochs", "epoch": "epochs", "nepochs": "epochs", "size": "image-size", "img-size": "image-size",
    "imgsize": "image-size", "resolution": "image-size", "crop-size": "image-size", "input-size": "image-size",
    "res": "image-size", "tau": "ema", "ema-decay": "ema", "momentum-encoder": "ema", "moving-average-decay": "ema",
    "base-momentum": "ema", "moco-m": "ema", "temp": "temperature", "t": "temperature", "moco-t": "temperature",
    "lr-warmup": "warmup-steps", "warmup": "warmup-steps", "warmup-epochs": "warmup-steps",
    "num-warmup-steps": "warmup-steps", "opt": "optimizer", "optim": "optimizer", "optimiser": "optimizer",
    "aug": "augment", "augmentation": "augment", "augmentations": "augment", "transform": "augment",
    "transforms": "augment", "random-seed": "seed", "manual-seed": "seed", "proj-dim": "dim", "out-dim": "dim",
    "projection-dim": "dim", "embedding-dim": "dim", "projection-size": "dim", "feature-dim": "dim", "moco-dim": "dim",
    "hidden-dim": "hidden", "hidden-size": "hidden", "mlp-dim": "hidden", "projection-hidden-size": "hidden",
    "queue-size": "queue", "moco-k": "queue", "bank-size": "queue", "num-negatives": "queue", "pretrained": "init",
    "weights": "init", "checkpoint": "init", "load": "init", "init-from": "init", "config-file": "config",
    "cfg": "config",
    "recipe": "config", "save-every": "checkpoint-every", "save-freq": "checkpoint-every",
    "save-interval": "checkpoint-every", "ckpt-every": "checkpoint-every", "eval-every": "probe-every",
    "print-freq": "log-every", "log-interval": "log-every", "log-freq": "log-every", "algorithm": "method",
    "ssl-method": "method", "sync-bn": "bn-scope", "syncbn": "bn-scope", "sync-batchnorm": "bn-scope",
    "lambd": "lambda", "lambda-param": "lambda", "channels": "width", "filters": "width", "nesterov": "momentum",
  ]

  /// What other programs have a setting for and this one has not, with why.
  private static let absent: [String: String] = {
    let processors = "byol-dist computes on CPUs"
    let precision = "byol-dist computes in 32-bit floats"
    let ranks = "the number of ranks is mpirun's, mpirun -n RANKS byol-dist"
    let groups: [(String, [String])] = [
      (processors, ["gpus", "gpu", "device", "devices", "cuda", "no-cuda", "accelerator", "num-gpus", "n-gpu"]),
      (precision, ["amp", "fp16", "bf16", "fp32", "half", "precision", "mixed-precision", "dtype", "use-amp"]),
      (
        ranks,
        [
          "n", "np", "ranks", "nproc", "num-processes", "world-size", "nodes", "num-nodes", "nproc-per-node",
          "local-rank", "rank", "dist-url", "dist-backend", "distributed", "backend", "hosts", "hostfile",
        ]
      ),
    ]
    return Dictionary(uniqueKeysWithValues: groups.flatMap { reason, names in names.map { ($0, reason) } })
  }()

  /// A name in the form that flags have: `weight-decay` for `weight_decay`, `Weight-Decay` and `weightDecay`.
  static func plain(_ name: String) -> String {
    var result = ""
    var previous: Character?
    for character in name {
      if character.isUppercase, previous?.isLowercase ?? false { result += "-" }
      result +=
        character == "_" || character == "." || character == " " || SettingInput.isDash(character)
        ? "-" : character.lowercased()
      previous = character
    }
    return result
  }

  /// Whether a character looks like a hyphen but is another.
  package static func isDash(_ character: Character) -> Bool { SettingInput.isDash(character) }

  /// The names that are known from elsewhere.
  package static var known: [String] { others.keys.sorted() }

  /// The setting of this program that another's name means.
  package static func meant(by name: String) -> String? { others[plain(name)] }

  /// Why there is no setting of this name.
  package static func reasonForNone(_ name: String) -> String? { absent[plain(name)] }

  /// How a message about an unknown name of a setting goes on.
  /// - Parameters:
  ///   - known: names as flags have them.
  ///   - otherwise: what to do where no name is near.
  ///   - display: how a message shows a known name, as a flag or as a file's key.
  package static func suggestion(
    for name: String, among known: [String], otherwise: String, display: (String) -> String
  ) -> String {
    let word = plain(name)
    if let meant = meant(by: name), !known.contains(word), known.contains(meant) {
      return "; should be \(display(meant))"
    }
    if let reason = reasonForNone(name), !known.contains(word) { return "; there is no such setting: \(reason)" }
    return Training.suggestion(for: word, among: known, otherwise: otherwise, display: display)
  }
}
