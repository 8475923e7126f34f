extension ShippedStudy {
  /// How many images share statistics, under three methods. The quick size leaves out ghost:16: with its batch of 128
  /// that is what local on 8 ranks is.
  static let scopeText = """
    {
      "title": "How many images share batch-norm statistics",
      "description": "BYOL, SimCLR and MoCo v2 with statistics over the whole batch, over the share of one of 8 \
    ranks, and over 16, 8 and 4 images; MoCo also with its key images shuffled over the ranks. What sync costs is \
    in the step's time, what it buys in the accuracy.",
      "data": "STL-10",
      "base": {"recipe": "study", "image_size": 96, "lr": 0.4, "weight_decay": 2e-4},
      "seeds": 3,
      "variants": [
        {"name": "byol-sync", "settings": {"method": "byol", "bn_scope": "sync"}},
        {"name": "byol-local", "settings": {"method": "byol", "bn_scope": "local"}, "local_ranks": 8},
        {"name": "byol-ghost-16", "settings": {"method": "byol", "bn_scope": "ghost:16"}},
        {"name": "byol-ghost-8", "settings": {"method": "byol", "bn_scope": "ghost:8"}},
        {"name": "byol-ghost-4", "settings": {"method": "byol", "bn_scope": "ghost:4"}},
        {
          "name": "simclr-sync",
          "settings": {"method": "simclr", "lr": 0.5, "weight_decay": 1e-4, "bn_scope": "sync"},
          "quick": {"lr": 0.2}
        },
        {
          "name": "simclr-local",
          "settings": {"method": "simclr", "lr": 0.5, "weight_decay": 1e-4, "bn_scope": "local"},
          "quick": {"lr": 0.2},
          "local_ranks": 8
        },
        {
          "name": "simclr-ghost-16",
          "settings": {"method": "simclr", "lr": 0.5, "weight_decay": 1e-4, "bn_scope": "ghost:16"},
          "quick": {"lr": 0.2}
        },
        {
          "name": "simclr-ghost-8",
          "settings": {"method": "simclr", "lr": 0.5, "weight_decay": 1e-4, "bn_scope": "ghost:8"},
          "quick": {"lr": 0.2}
        },
        {
          "name": "simclr-ghost-4",
          "settings": {"method": "simclr", "lr": 0.5, "weight_decay": 1e-4, "bn_scope": "ghost:4"},
          "quick": {"lr": 0.2}
        },
        {
          "name": "moco-sync",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "sync"
          },
          "quick": {"lr": 0.2, "queue": 4096}
        },
        {
          "name": "moco-local",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "local"
          },
          "quick": {"lr": 0.2, "queue": 4096},
          "local_ranks": 8
        },
        {
          "name": "moco-ghost-16",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "ghost:16"
          },
          "quick": {"lr": 0.2, "queue": 4096}
        },
        {
          "name": "moco-ghost-8",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "ghost:8"
          },
          "quick": {"lr": 0.2, "queue": 4096}
        },
        {
          "name": "moco-ghost-4",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "ghost:4"
          },
          "quick": {"lr": 0.2, "queue": 4096}
        },
        {
          "name": "moco-local-shuffled",
          "settings": {
            "method": "moco", "projector_norm": "none", "ema_schedule": "constant", "lr": 0.5, "weight_decay": 1e-4,
            "bn_scope": "local", "shuffle_bn": "on"
          },
          "quick": {"lr": 0.2, "queue": 4096},
          "local_ranks": 8
        }
      ],
      "quick": {
        "base": {
          "image_size": 32, "encoder": "resnet10", "width": 16, "stem": "small", "hidden": 256, "dim": 128,
          "batch": 128, "steps": 800, "lr": 0.2, "warmup_steps": null, "weight_decay": 1e-4, "ema": 0.99
        },
        "seeds": 1,
        "variants": [
          "byol-sync", "byol-local", "byol-ghost-8", "byol-ghost-4", "simclr-sync", "simclr-local",
          "simclr-ghost-8", "simclr-ghost-4", "moco-sync", "moco-local", "moco-ghost-8", "moco-ghost-4",
          "moco-local-shuffled"
        ]
      }
    }

    """
}
