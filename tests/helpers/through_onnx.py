"""A model on its way through ONNX."""

import numpy as np
import onnx
import onnxruntime
import skl2onnx


def through_onnx(model, X):
    """All outputs of the converted model for X, computed by ONNX's runtime in float32."""
    X = X.astype(np.float32)
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    converted = skl2onnx.to_onnx(model, X[:1], options=options)
    onnx.checker.check_model(converted)
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})
