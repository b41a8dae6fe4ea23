"""From fastnn through scikit-learn's classes to ONNX, run by onnxruntime."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_diabetes, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import fastnn

onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def through_onnx(model, X):
    """What ONNX's runtime computes of X, in float32: all outputs of the converted model."""
    X = X.astype(np.float32)
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    converted = skl2onnx.to_onnx(model, X[:1], options=options)
    onnx.checker.check_model(converted)
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"activation": "tanh", "hidden_layer_sizes": (40, 20)},
        {"batch_norm": True, "dropout": 0.2, "solver": "adamw"},
    ],
    ids=str,
)
def test_pipeline_of_digits(digits, params):
    X, y = digits
    ours = make_pipeline(StandardScaler(), fastnn.MLPClassifier(max_iter=20, **params))
    ours.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = make_pipeline(ours[0], ours[-1].to_sklearn())
    labels, probabilities = through_onnx(theirs, X)
    np.testing.assert_allclose(probabilities, ours.predict_proba(X), rtol=0, atol=1e-5)
    assert (labels == ours.predict(X)).mean() > 0.999
    assert (labels == y).mean() > 0.95


@pytest.mark.parametrize("labels", [["even", "odd"], [False, True], [3, 7]], ids=str)
def test_two_classes(digits, labels):
    X, y = digits
    y = np.array(labels)[y % 2]
    ours = fastnn.MLPClassifier(max_iter=10, random_state=0).fit(X / 16, y)
    predicted, probabilities = through_onnx(ours.to_sklearn(), X / 16)
    np.testing.assert_allclose(probabilities, ours.predict_proba(X / 16), rtol=0, atol=1e-5)
    assert (predicted == ours.predict(X / 16)).mean() > 0.99


@pytest.mark.parametrize("n_labels", [2, 3])
def test_many_labels(digits, n_labels):
    X, y = digits
    y = np.column_stack([y % 2, y > 4, y % 3 == 0])[:, :n_labels].astype(int)
    ours = fastnn.MLPClassifier(max_iter=10, random_state=0).fit(X / 16, y)
    labels, probabilities = through_onnx(ours.to_sklearn(), X / 16)
    # Of two labels skl2onnx 1.20 takes it for two classes, and gives 1 - probabilities first.
    probabilities = probabilities[:, -n_labels:]
    np.testing.assert_allclose(probabilities, ours.predict_proba(X / 16), rtol=0, atol=1e-5)
    assert (labels == ours.predict(X / 16)).mean() > 0.99


def test_regression():
    X, y = load_diabetes(return_X_y=True)
    ours = make_pipeline(StandardScaler(), fastnn.MLPRegressor(max_iter=50, random_state=0))
    ours.fit(X, y / 100)
    theirs = make_pipeline(ours[0], ours[-1].to_sklearn())
    (predicted,) = through_onnx(theirs, X)
    np.testing.assert_allclose(predicted[:, 0], ours.predict(X), rtol=1e-5, atol=1e-5)


def test_several_outputs_come_in_one_column():
    # skl2onnx 1.20 makes one column of all outputs; row by row they are what they should be.
    X, y = load_diabetes(return_X_y=True)
    y = np.column_stack([y, X[:, 0] * 100, X[:, 2] * 50]) / 100
    ours = fastnn.MLPRegressor(max_iter=50, random_state=0).fit(X, y)
    (predicted,) = through_onnx(ours.to_sklearn(), X)
    np.testing.assert_allclose(predicted.reshape(y.shape), ours.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.7"), reason="scikit-learn 1.7 brought it"
)
def test_poisson_regression_without_its_exponential():
    # skl2onnx 1.20 does not know the output activation: KeyError('exp'). So leave it to NumPy.
    X, y = load_diabetes(return_X_y=True)
    ours = fastnn.MLPRegressor("poisson", max_iter=50, random_state=0).fit(X, y / 100)
    linear = ours.to_sklearn()
    linear.out_activation_ = "identity"
    (predicted,) = through_onnx(linear, X)
    np.testing.assert_allclose(np.exp(predicted[:, 0]), ours.predict(X), rtol=1e-5)
