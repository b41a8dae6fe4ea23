"""A pipeline trained by fastnn, as an ONNX model: onnxruntime needs neither Python nor fastnn.

python examples/onnx_export.py      (after: pip install ".[onnx]")
"""

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
model.fit(X_train, y_train)

# skl2onnx knows scikit-learn's classes, so it gets the network as one of them.
exported = make_pipeline(model[0], model[-1].to_sklearn())
X_test = X_test.astype(np.float32)
onnx_model = to_onnx(exported, X_test[:1], options={"zipmap": False})
with open("digits.onnx", "wb") as file:
    file.write(onnx_model.SerializeToString())

session = onnxruntime.InferenceSession("digits.onnx", providers=["CPUExecutionProvider"])
labels, probabilities = session.run(None, {"X": X_test})
difference = np.abs(probabilities - model.predict_proba(X_test)).max()
print(f"digits.onnx: test accuracy {np.mean(labels == y_test):.4f}")
print(f"largest difference of a probability from fastnn's: {difference:.1e}")
