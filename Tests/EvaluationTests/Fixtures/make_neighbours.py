"""Makes neighbours.safetensors: features, and what scikit-learn's weighted kNN (Wu et al. 2018) says of their judged half.

python make_neighbours.py, with the versions that it writes into the file's metadata.
"""
import pathlib

import numpy as np
import safetensors
import sklearn
from safetensors.numpy import save_file
from sklearn.neighbors import KNeighborsClassifier

from halves import halves

CLASSES, ROWS, DIMENSIONS = 7, 700, 12
random = np.random.default_rng(4)
labels = random.integers(0, CLASSES, ROWS)
centres = random.normal(size=(CLASSES, DIMENSIONS))
# Lengths of all kinds: cosines do not see them, distances would.
features = (centres[labels] + 1.2 * random.normal(size=(ROWS, DIMENSIONS))) * (20 * random.random((ROWS, 1)) + 0.1)
features = features.astype(np.float32)
fit, judged = halves(labels)
tensors = {"features": features, "labels": labels.astype(np.int64)}
for k, temperature in [(1, 0.1), (5, 0.1), (25, 0.1), (200, 0.1), (200, 0.02), (200, 100.0)]:
    model = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / temperature))
    model.fit(features[fit].astype(np.float64), labels[fit])
    accuracy = 100 * model.score(features[judged].astype(np.float64), labels[judged])
    tensors[f"accuracy.{k}.{temperature}"] = np.array([accuracy])
    print(k, temperature, accuracy)
save_file(
    tensors,
    pathlib.Path(__file__).parent / "neighbours.safetensors",
    metadata={"scikit-learn": sklearn.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__},
)
