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
from common import run_python

# It imports onnx, skl2onnx and onnxruntime.
through_onnx = pytest.importorskip("through_onnx").through_onnx


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
    assert (labels == y).mean() > 0.9


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
    # skl2onnx 1.20 takes two labels for two classes, and puts 1 - probabilities first.
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


PATCHED = """
import json, sys, warnings
import numpy as np
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore")
if "before" in sys.argv:
    import skl2onnx
import fastnn
fastnn.patch_sklearn()
from through_onnx import through_onnx

X, y = load_iris(return_X_y=True)
model = MLPClassifier(20, max_iter=50, random_state=0).fit(X, y)
many = MLPClassifier(20, max_iter=50, random_state=0).fit(X, np.eye(3, dtype=int)[y])
regressor = MLPRegressor(hidden_layer_sizes=20, max_iter=50, random_state=0).fit(X, y)
if "before" in sys.argv:
    model, many, regressor = (fitted.to_sklearn() for fitted in (model, many, regressor))
differences = [
    through_onnx(model, X)[1] - model.predict_proba(X),
    through_onnx(many, X)[1] - many.predict_proba(X),
    through_onnx(regressor, X)[0][:, 0] - regressor.predict(X),
]
print(json.dumps([type(model).__module__, *(float(abs(d).max()) for d in differences)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("imported, module", [("before", "sklearn"), ("after", "fastnn")])
def test_while_scikit_learns_names_mean_ours(imported, module):
    """Imported before the patch, skl2onnx knows scikit-learn's classes; after it, fastnn's."""
    found, *differences = run_python(PATCHED, imported)
    assert found.startswith(module) and len(differences) == 3 and max(differences) < 1e-5


def test_what_converters_read_of_a_classifier():
    """As scikit-learn's; but not where the weights are not all that there is."""
    X, y = load_diabetes(return_X_y=True)
    model = fastnn.MLPClassifier(max_iter=2)
    assert not hasattr(model, "_label_binarizer")
    assert model.fit(X, y > 100)._label_binarizer.y_type_ == "binary"
    model.set_params(batch_norm=True).fit(X, y > 100)
    with pytest.raises(AttributeError, match="to_sklearn"):
        _ = model._label_binarizer
    assert not hasattr(fastnn.MLPRegressor(max_iter=2).fit(X, y / 100), "_label_binarizer")
