extension ShippedStudy {
  /// The appendix of Fetterman & Albrecht (2020), and Richemond et al. (2020): learning without any batch norm.
  static let escapesText = """
    {
      "title": "BYOL without batch norm anywhere, and what escapes the collapse",
      "description": "Group norm in the encoder and nothing in the MLPs under SGD, with less weight decay, with \
    weight standardisation (Richemond et al. 2020), and under LARS on all or two layers, at two rates; batch norm \
    everywhere for comparison. Losses here are 2 - 2 cos a direction where theirs are 1 - cos: under SGD lr 0.1 and \
    weight decay 2e-4 are their 0.2 and 1e-4. LARS does not depend on the loss's scale and has their rates; what SGD \
    moves beside it (biases, norms, the other layers) then takes twice their steps.",
      "data": "STL-10",
      "published_from": "Fetterman & Albrecht (2020), appendix: STL-10, ResNet-18, 320 epochs",
      "base": {
        "recipe": "study", "image_size": 96, "epochs": 320, "lr": 0.1, "weight_decay": 2e-4, "encoder_norm": "gn",
        "projector_norm": "none", "predictor_norm": "none"
      },
      "seeds": 3,
      "variants": [
        {
          "name": "batch-norm",
          "settings": {"encoder_norm": "bn", "projector_norm": "bn", "predictor_norm": "bn"}
        },
        {"name": "sgd", "settings": {}},
        {
          "name": "sgd-decay-1e-5", "settings": {"weight_decay": 2e-5}, "quick": {"weight_decay": 1e-5}, "published": 56
        },
        {
          "name": "gn-ws",
          "settings": {"projector_norm": "gn", "predictor_norm": "gn", "weight_standardization": "on"},
          "published": 51
        },
        {"name": "lars", "settings": {"optimizer": "lars", "lr": 0.2}},
        {
          "name": "lars-layers-1-2",
          "settings": {"optimizer": "lars", "lr": 0.2, "lars_on": "layer1,layer2"}
        },
        {"name": "lars-half-rate", "settings": {"optimizer": "lars", "lr": 0.1}}
      ],
      "quick": {
        "base": {
          "image_size": 32, "encoder": "resnet10", "width": 16, "stem": "small", "hidden": 256, "dim": 128,
          "batch": 128, "steps": 800, "lr": 0.2, "warmup_steps": null, "weight_decay": 1e-4, "ema": 0.99
        },
        "seeds": 2,
        "variants": ["batch-norm", "sgd", "sgd-decay-1e-5", "gn-ws", "lars", "lars-layers-1-2"]
      }
    }

    """
}
