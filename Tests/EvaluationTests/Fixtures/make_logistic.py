"""Makes logistic.safetensors: features that classes explain in part, and what scikit-learn makes of them.

python make_logistic.py, with the versions that it writes into the file's metadata.
"""
import pathlib

import numpy as np
import safetensors
import sklearn
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from halves import halves

CLASSES, DIMENSIONS, ROWS = 10, 12, 600
random = np.random.default_rng(7)
labels = random.integers(0, CLASSES, ROWS)
centres = random.normal(size=(CLASSES, DIMENSIONS))
# Scales and offsets of all sizes, a feature that is constant, and one that the fitted half does not have.
scales = 10.0 ** random.uniform(-3, 3, DIMENSIONS)
features = (centres[labels] + 1.3 * random.normal(size=(ROWS, DIMENSIONS))) * scales + 5 * scales * random.normal(size=DIMENSIONS)
features[:, 3] = 0.1
features[: ROWS // 2, 8] = 0
features = features.astype(np.float32)

half = ROWS // 2
scaler = StandardScaler().fit(features[:half].astype(np.float64))
train, test = (scaler.transform(part.astype(np.float64)) for part in (features[:half], features[half:]))
tensors = {"features": features, "labels": labels.astype(np.int64), "standardised": test}
for c in (1.0, 0.01):
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(train, labels[:half])
    default = LogisticRegression(C=c, max_iter=1000).fit(train, labels[:half])
    tensors[f"weights.{c}"] = np.ascontiguousarray(model.coef_.T)
    tensors[f"intercepts.{c}"] = model.intercept_
    tensors[f"accuracy.{c}"] = np.array([100 * m.score(test, labels[half:]) for m in (model, default)])
    print(c, tensors[f"accuracy.{c}"], default.n_iter_)

# The probe's own halves, cut by class.
fit, judged = halves(labels)
scaler = StandardScaler().fit(features[fit].astype(np.float64))
train, test = (scaler.transform(features[part].astype(np.float64)) for part in (fit, judged))
for c in (1.0, 0.01):
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(train, labels[fit])
    tensors[f"halves.{c}"] = np.array([100 * model.score(test, labels[judged])])
    print(c, tensors[f"halves.{c}"])
save_file(
    tensors,
    pathlib.Path(__file__).parent / "logistic.safetensors",
    metadata={"scikit-learn": sklearn.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__},
)
