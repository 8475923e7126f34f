import Images
import Layers
import Methods

/// Every setting of a training run. A property `weightDecay` is the flag `--weight-decay` and the key `weight_decay`;
/// `Configuration.settings` is the table that says so.
///
/// The values here are what both shipped recipes share; `Recipe` has the rest. Nothing in it changes meaning with the
/// number of ranks.
public struct Configuration: Equatable, Sendable {
  // MARK: Data and views

  /// `shapes`, or the path of a data set whose format is recognised from what is there.
  public var data = "shapes"
  /// Pixels of a view's side; 0 is the data's own size.
  public var imageSize = 0
  public var augment = AugmentPolicy.moco
  public var shuffle = Switch.on
  public var seed: UInt64 = 0

  // MARK: Method and networks

  public var method = MethodKind.byol
  public var encoder = EncoderKind.resnet18
  /// Channels of the encoder's first stage.
  public var width = 64
  public var stem = Stem.imagenet
  /// Hidden units of projector and predictor.
  public var hidden = 512
  /// Outputs of projector and predictor.
  public var dim = 128
  public var encoderNorm = NormKind.bn
  public var projectorNorm = NormKind.bn
  public var predictorNorm = NormKind.bn
  public var bnScope = BatchNormScope.sync
  /// A safetensors file whose tensors replace starting weights by name (`--init`).
  public var initFile: String?

  // MARK: Optimization

  /// Images per step over all ranks.
  public var batch = 256
  /// The run's length in passes over the data, or nil where `steps` says it: exactly one of the two is set.
  public var epochs: Int?
  public var steps: Int?
  public var optimizer = OptimizerKind.sgd
  /// The peak learning rate as applied.
  public var lr = 0.8
  public var momentum = 0.9
  public var weightDecay = 1e-4
  /// Steps over which the learning rate rises linearly to its peak, before the cosine to 0.
  public var warmupSteps = 0
  /// The target's first tau.
  public var ema = 0.996
  public var emaSchedule = EMASchedule.cosine
  public var emaOn = EMAPlacement.rank0

  // MARK: The run

  /// Threads per rank; nil is the host's cores over the ranks on it.
  public var threads: Int?
  /// The run directory; nil is one in `runs/` named after method, data and time.
  public var out: String?
  public var resume = ResumePolicy.auto
  /// Steps between checkpoints; 0 is one at the end alone.
  public var checkpointEvery = 200
  /// Checkpoints that stay on disk.
  public var keep = 2
  /// Steps between linear probes; 0 is one at the end alone.
  public var probeEvery = 0
  /// Steps between effective ranks in the metrics; 0 is one at probes and at the end alone.
  public var measureEvery = 10
  public var onCollapse = CollapsePolicy.warn
  /// Steps between printed lines where the output is no terminal; nil is a line after 10 seconds, later fewer.
  public var logEvery: Int?

  init() {}

  /// The number of optimizer steps in all, T of the schedules; an epoch's last short batch is dropped.
  /// - Parameter samples: images in the training split.
  public func totalSteps(samples: Int) -> Int { steps ?? (epochs ?? 0) * (samples / batch) }
}
