extension ShippedStudy {
  /// Fetterman & Albrecht's table. Their loss is 1 - cos a direction, here it is 2 - 2 cos: the rate 0.4 and the
  /// decay 2e-4 here take the very steps of 0.8 and 1e-4 there. The quick size is of a few minutes a seed.
  static let normsText = """
    {
      "title": "Where batch norm sits in BYOL's MLPs",
      "description": "The seven rows of Fetterman & Albrecht (2020): batch norm in both MLPs, in one, none, layer \
    norm, and the same networks with explicit negatives. Losses here are 2 - 2 cos a direction where theirs are 1 \
    - cos: lr 0.4 and weight decay 2e-4 are their 0.8 and 1e-4.",
      "data": "STL-10",
      "published_from": "Fetterman & Albrecht (2020), STL-10, ResNet-18, 10 epochs; cosines of epoch 10",
      "random_encoder": {"published": 28.8},
      "base": {"recipe": "study", "image_size": 96, "lr": 0.4, "weight_decay": 2e-4},
      "seeds": 3,
      "variants": [
        {
          "name": "contrastive",
          "settings": {
            "method": "contrastive", "projector_norm": "none", "predictor_norm": "none", "queue": 65536,
            "temperature": 0.2, "lr": 0.02, "weight_decay": 1e-4
          },
          "quick": {"queue": 0, "lr": 0.2},
          "published": 44.1
        },
        {
          "name": "byol",
          "settings": {"projector_norm": "bn", "predictor_norm": "bn"},
          "published": {"probe_accuracy": 57.7, "positive_cosine": 0.88, "negative_cosine": 0.27}
        },
        {
          "name": "projection-only",
          "settings": {"projector_norm": "bn", "predictor_norm": "none"},
          "published": 55.3
        },
        {
          "name": "prediction-only",
          "settings": {"projector_norm": "none", "predictor_norm": "bn"},
          "published": 48.0
        },
        {
          "name": "no-norm",
          "settings": {"projector_norm": "none", "predictor_norm": "none"},
          "published": {"probe_accuracy": 28.3, "positive_cosine": 0.9999, "negative_cosine": 0.9999}
        },
        {
          "name": "layer-norm",
          "settings": {"projector_norm": "ln", "predictor_norm": "ln"},
          "published": {"probe_accuracy": 29.4, "positive_cosine": 0.9999, "negative_cosine": 0.9999}
        }
      ],
      "quick": {
        "base": {
          "image_size": 32, "encoder": "resnet10", "width": 16, "stem": "small", "hidden": 256, "dim": 128,
          "batch": 128, "steps": 800, "lr": 0.2, "warmup_steps": null, "weight_decay": 1e-4, "ema": 0.99
        },
        "seeds": 3
      }
    }

    """
}
