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
  /// Whether convolutions and linear layers compute with weights standardised over each output's inputs.
  public var weightStandardization = Switch.off
  public var bnScope = BatchNormScope.sync
  /// The scope of the encoder's batch norms; nil is `bnScope`.
  public var encoderBnScope: BatchNormScope?
  /// The scope of the projector's and the predictor's batch norms; nil is `bnScope`.
  public var headBnScope: BatchNormScope?
  public var bnViews = ViewNormalization.apart
  /// Batch renormalisation's r_max and d_max, at the end of their rise.
  public var brnRMax = 3.0
  public var brnDMax = 5.0
  /// Steps over which r_max and d_max rise from 1 and 0.
  public var brnWarmupSteps = 0
  /// The share of a batch in batch renormalisation's moving averages.
  public var brnMomentum = 0.01
  /// A safetensors file whose tensors replace starting weights by name (`--init`).
  public var initFile: String?

  // MARK: The method's own: nil is what `--method` has, which `resolveMethod` puts in

  public var loss: LossKind?
  /// Linear layers of the predictor, 0 to 2.
  public var predictorDepth: Int?
  public var stopGradient: Switch?
  /// T of the logits cos/T.
  public var temperature: Double?
  /// Keys in the queue; 0 takes negatives from the batch.
  public var queue: Int?
  /// EqCo's alpha; nil leaves the negatives' share as it is.
  public var eqcoAlpha: Double?
  /// Whether the keys' images change places over the ranks before their batch norm.
  public var shuffleBn = Switch.off
  /// Barlow Twins' weight of what is off the diagonal.
  public var lambda: Double?
  public var vicregInvariance: Double?
  public var vicregVariance: Double?
  public var vicregCovariance: Double?

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
  /// What weight decay acts on; nil is everything for SGD and the weights alone for LARS, as BYOL.
  public var decayOn: DecayedParameters?
  /// LARS's trust coefficient.
  public var larsTrust = 0.001
  /// The parts that LARS acts on, the others by SGD; nil is all.
  public var larsOn: NetworkParts?
  /// Steps over which the learning rate rises linearly to its peak, before the cosine to 0; nil follows the run's length.
  public var warmupSteps: Int?
  /// The target's first tau.
  public var ema = 0.996
  /// nil is the method's: constant for moco, cosine for others.
  public var emaSchedule: EMASchedule?
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
  public var measureEvery = 1
  public var onCollapse = CollapsePolicy.warn
  /// Steps between printed lines where the output is no terminal; nil is a line after 10 seconds, later fewer.
  public var logEvery: Int?

  init() {}

  /// The number of optimizer steps in all, T of the schedules; an epoch's last short batch is dropped.
  /// - Parameter samples: images in the training split.
  public func totalSteps(samples: Int) -> Int { steps ?? (epochs ?? 0) * (samples / batch) }
}
