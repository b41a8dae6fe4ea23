"""Looking inside a fitted network: hidden activations, and gradients of the inputs."""

import pickle
from math import exp, log1p, tanh

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import as_array, estimator_for, make_problem
from fastnn import MLPClassifier, MLPRegressor, backends, register_activation, register_loss
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu import jit
from fastnn.kernels.losses import CLASSIFIER_LOSSES, LOSSES
from fastnn.network.multilayer import multilayer_perceptron
from reference import HIDDEN_GRADIENTS, forward_pass, hidden_activation

SMALL = dict(hidden_layer_sizes=(9, 20, 5), max_iter=3, random_state=0)
OF_CLASSIFIERS = {name for names in CLASSIFIER_LOSSES.values() for name in names}
REGRESSION_LOSSES = [name for name in LOSSES if name not in OF_CLASSIFIERS]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def expected_hidden(model, X):
    """The hidden layers' activations, by the NumPy oracle."""
    batch = X.astype(model.coefs_[0].dtype)
    return forward_pass(model._trained.network, model._trained.params, batch).activations[1:-1]


def expected_gradient(network, params, X, weights):
    """The gradient of the raw outputs times the weights, by NumPy."""
    inputs, coefs = forward_pass(network, params, X).inputs, network.coefs(params)
    delta = weights
    for i in reversed(range(1, len(coefs))):
        slope = hidden_activation(network, params, i - 1, HIDDEN_GRADIENTS)(inputs[i - 1])
        delta = (delta @ coefs[i].T) * slope
    return delta @ coefs[0].T


def differences(function, X, step=1e-6):
    """Central differences (n_samples, n_features) of ``function(X)``, (n_samples,)."""
    result = np.empty(X.shape)
    for j in range(X.shape[1]):
        moved = np.zeros(X.shape[1])
        moved[j] = step
        result[:, j] = (function(X + moved) - function(X - moved)) / (2 * step)
    return result


def assert_is_gradient(gradient, function, X):
    expected = differences(function, X)
    assert np.abs(expected).max() > 1e-3
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


# ---- hidden activations ----------------------------------------------------------------


SETTINGS = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "one for each": {"activation": ("prelu", "identity", "gelu")},
    "batch_norm": {"activation": ("prelu", "tanh", "silu"), "batch_norm": True},
    "dropout": {"dropout": 0.5, "input_dropout": 0.3},
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_hidden_activations(setting, is_sparse, dtype):
    X, y = make_problem("multiclass", is_sparse=is_sparse)
    model = MLPClassifier(**SMALL, **SETTINGS[setting], dtype=dtype).fit(X, y)
    expected = expected_hidden(model, X)
    tolerance = TOLERANCE[dtype]
    for layer in (0, 1, 2, -1, -2, -3, np.int64(1)):
        activations = model.hidden_activations(X, layer)
        assert activations.dtype == dtype
        assert_allclose(activations, expected[layer], rtol=tolerance, atol=tolerance)
    assert_array_equal(model.hidden_activations(X), model.hidden_activations(X, layer=2))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_last_hidden_layer_makes_the_prediction(batch_norm):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, activation="mish", batch_norm=batch_norm).fit(X, y)
    outputs = model.hidden_activations(X) @ model.coefs_[-1] + model.intercepts_[-1]
    assert_allclose(outputs[:, 0], model.predict(X), rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_hidden_activations_compile_nothing_that_predict_does_not(activation, monkeypatch):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, activation=activation).fit(X, y)
    names, unit = set(), jit.unit

    def recorded(template, name, bindings):
        names.add(name)
        return unit(template, name, bindings)

    monkeypatch.setattr(jit, "unit", recorded)
    model.predict(X)
    of_predict = set(names)
    for layer in range(3):
        model.hidden_activations(X, layer)
    assert names == of_predict != set()


@pytest.mark.parametrize("layer", [3, -4, 10**9])
def test_no_such_layer(layer):
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL).fit(X, y)
    message = rf"layer={layer} is out of range: .* has 3 hidden layer\(s\), of \(9, 20, 5\)"
    with pytest.raises(ValueError, match=message):
        model.hidden_activations(X, layer)


@pytest.mark.parametrize("layer", [True, 1.0, "first", None, [0]])
def test_layer_is_an_int(layer):
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL).fit(X, y)
    with pytest.raises(TypeError, match="layer must be an int, got"):
        model.hidden_activations(X, layer)


def test_no_hidden_layers():
    X, y = make_problem("multioutput")
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=3, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="The network has no hidden layers"):
        model.hidden_activations(X)
    expected = np.tile(model.coefs_[0][:, 1], (len(X), 1))
    assert_array_equal(model.input_gradient(X, target=1), expected)


# ---- gradients of the inputs -----------------------------------------------------------


@pytest.mark.parametrize("target", range(3))
@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("prelu", "gelu", "softplus")])
def test_gradient_of_activations(activation, target):
    X, y = make_problem("multioutput")
    model = MLPRegressor(**SMALL, activation=activation).fit(X, y)
    gradient = model.input_gradient(X, target)
    assert_is_gradient(gradient, lambda X: model.predict(X)[:, target], X)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_gradient_of_predictions(loss, n_outputs):
    X, y = make_problem("multioutput", n_features=1 if n_outputs == 1 else 4)
    model = MLPRegressor(loss, (8, 6), activation="silu", max_iter=5, random_state=0)
    model.fit(X, np.exp(y[:, 0] if n_outputs == 1 else y[:, :2]))
    if n_outputs == 1:
        assert_is_gradient(model.input_gradient(X), model.predict, X)
        assert_array_equal(model.input_gradient(X), model.input_gradient(X, target=0))
        return
    for target in range(n_outputs):
        gradient = model.input_gradient(X, target)
        assert_is_gradient(gradient, lambda X, j=target: model.predict(X)[:, j], X)


def cross_entropy(x, y):
    return (x if x > 0 else 0.0) + log1p(exp(-abs(x))) - x * y


def cross_entropy_gradient(x, y):
    return 1 / (1 + exp(-x)) - y


def test_gradient_of_registered_functions():
    register_activation("wave", lambda x: x + tanh(2 * x), lambda x: 3 - 2 * tanh(2 * x) ** 2)
    register_loss("cross", cross_entropy, cross_entropy_gradient, out_activation="logistic")
    X, y = make_problem("multilabel")
    model = MLPRegressor(loss="cross", **SMALL, activation=("wave", "tanh", "wave")).fit(X, y)
    gradient = pickle.loads(pickle.dumps(model)).input_gradient(X, target=2)
    assert_is_gradient(gradient, lambda X: model.predict(X)[:, 2], X)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize(
    "loss, smoothing", [*((loss, 0.0) for loss in CLASSIFIER_LOSSES), ("log_loss", 0.1)]
)
def test_gradient_of_raw_outputs(loss, smoothing, problem):
    X, y = make_problem(problem)
    model = MLPClassifier(**SMALL, activation="gelu", loss=loss, label_smoothing=smoothing)
    model.fit(X, y)
    for target in model.classes_:
        output = 0 if problem == "binary" else target
        sign = -1 if problem == "binary" and target == 0 else 1

        def raw(X, output=output, sign=sign):
            return sign * model._forward(X, link=False)[:, output]

        assert_is_gradient(model.input_gradient(X, target), raw, X)


def test_gradient_of_log_odds():
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL, activation="tanh").fit(X, np.where(y, "yes", "no"))

    def log_odds(X):
        no, yes = model.predict_log_proba(X).T
        return yes - no

    assert_is_gradient(model.input_gradient(X, target="yes"), log_odds, X)
    assert_array_equal(model.input_gradient(X, "no"), -model.input_gradient(X, "yes"))


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
@pytest.mark.parametrize("loss", CLASSIFIER_LOSSES)
def test_predicted_class_is_the_default(loss, problem):
    X, y = make_problem(problem)
    names = np.array(["ash", "birch", "cedar", "oak"])
    model = MLPClassifier((20,), loss=loss, learning_rate_init=0.01, max_iter=50, random_state=0)
    model.fit(X, names[y])
    predicted = model.predict(X)
    assert len(set(predicted)) > 1
    expected = np.vstack([model.input_gradient(X[[i]], label) for i, label in enumerate(predicted)])
    assert_array_equal(model.input_gradient(X), expected)


@pytest.mark.parametrize("problem", ["multiclass", "regression", "poisson"])
@pytest.mark.parametrize("activation", ["relu", ("prelu", "tanh", "gelu")])
def test_gradient_with_batch_norm(activation, problem):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, activation=activation, batch_norm=True).fit(X, y)
    if problem == "multiclass":
        target, function = 2, lambda X: model._forward(X, link=False)[:, 2]
    else:
        target, function = None, model.predict
    assert_is_gradient(model.input_gradient(X, target), function, X)


@pytest.mark.parametrize("problem", ["multiclass", "binary", "poisson"])
def test_gradient_in_float32(problem):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, activation="tanh").fit(X, y)
    narrow = estimator_for(problem, **SMALL, activation="tanh", dtype="float32").fit(X, y)
    narrow._trained.params[...] = model._trained.params
    gradient = narrow.input_gradient(X)
    assert gradient.dtype == np.float32
    assert_allclose(gradient, model.input_gradient(X), rtol=1e-3, atol=1e-6)


# ---- targets ---------------------------------------------------------------------------


def test_one_class_for_all():
    X, y = make_problem("binary")
    with pytest.raises(ValueError, match=r"one class label for all samples, got an array of .*57,"):
        MLPClassifier(**SMALL).fit(X, y).input_gradient(X, y)


@pytest.mark.parametrize("target", ["walnut", 1, np.nan])
def test_no_such_class(target):
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL).fit(X, np.where(y, "ash", "oak"))
    with pytest.raises(ValueError, match=r"is not one of the classes \['ash' 'oak'\]"):
        model.input_gradient(X, target)


@pytest.mark.parametrize("problem, what", [("multioutput", "outputs"), ("multilabel", "labels")])
def test_target_of_several_outputs(problem, what):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match=f"The network has 3 {what}: say which .* target=0 to 2"):
        model.input_gradient(X)
    for target in (3, -1):
        with pytest.raises(ValueError, match=f"target={target} is out of range: .* 3 {what}"):
            model.input_gradient(X, target)
    for target in (True, 1.0, "1"):
        with pytest.raises(TypeError, match="target must be an int, got"):
            model.input_gradient(X, target)


# ---- kinds of X, blocks and threads ----------------------------------------------------


KINDS = {
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "F order": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "list": np.ndarray.tolist,
}


@pytest.mark.parametrize("method", ["hidden_activations", "input_gradient"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_input(kind, method):
    X, y = make_problem("multiclass", is_sparse=True)
    X = as_array(X)
    X[5] = 0
    model = MLPClassifier(**SMALL, activation="softplus").fit(X, y)
    result = getattr(model, method)(KINDS[kind](X))
    assert type(result) is np.ndarray
    assert_allclose(result, getattr(model, method)(X), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("layer_units", [(7, 40, 6), (50, 500, 400, 3), (5, 1, 1), (1, 1)])
def test_many_rows(layer_units, is_sparse, n_threads):
    """Several blocks of rows, and weights large enough to be packed."""
    network = multilayer_perceptron(layer_units, "prelu", "squared_error")
    params = network.initialize(np.random.RandomState(0), np.float64)
    X, _ = make_problem("regression", n_samples=9000, n_features=layer_units[0])
    if layer_units[1] == 500:
        X = X[:5001]
    X *= np.random.default_rng(0).random(X.shape) < 0.6
    weights = np.random.default_rng(1).standard_normal((len(X), layer_units[-1]))
    given = sparse.csr_array(X) if is_sparse else X
    backend = backends.get_backend(n_jobs=n_threads)
    gradient = backend.input_gradient(network, params, given, weights)
    expected = expected_gradient(network, params, X, weights)
    assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    activations = forward_pass(network, params, X).activations
    for layer in range(len(layer_units) - 2):
        result = backend.hidden(network, params, given, layer)
        assert_allclose(result, activations[layer + 1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_same_bits_on_any_number_of_threads(is_sparse, dtype):
    X, y = make_problem("multiclass", n_samples=5000, n_features=30, is_sparse=is_sparse)
    model = MLPClassifier((200, 150), activation="gelu", dtype=dtype, max_iter=1).fit(X, y)
    results = []
    for n_jobs in (1, 2):
        model.set_params(n_jobs=n_jobs)
        results.append([model.hidden_activations(X, 0), model.input_gradient(X)])
    for one, two in zip(*results, strict=True):
        assert_array_equal(one, two)
    # Nor does a sample's result depend on the others.
    assert_array_equal(model.input_gradient(X[[4321]])[0], results[0][1][4321])


# ---- as scikit-learn's users work ------------------------------------------------------


@pytest.mark.parametrize("method", ["hidden_activations", "input_gradient"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_checks_are_those_of_predict(problem, method):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(model, method)(X)
    model.fit(X, y)
    for wrong in (X[:, :3], X[0], np.full_like(X, np.nan), sparse.csr_array(X[:, :2])):
        with pytest.raises(ValueError) as of_predict:
            model.predict(wrong)
        with pytest.raises(ValueError) as caught:
            getattr(model, method)(wrong)
        assert str(caught.value) == str(of_predict.value)


@pytest.mark.parametrize("method", ["hidden_activations", "input_gradient"])
def test_data_frames(method):
    pd = pytest.importorskip("pandas")
    X, y = make_problem("binary")
    frame = pd.DataFrame(X, columns=list("abcdefg"))
    model = MLPClassifier(**SMALL).fit(frame, y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        expected = getattr(model, method)(X)
    assert_array_equal(getattr(model, method)(frame), expected)
    with pytest.raises(ValueError, match="feature names should match"):
        getattr(model, method)(frame[list("gfedcba")])


def test_edited_weights_count():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, activation="tanh").fit(X, y)
    before = model.input_gradient(X)
    model.coefs_[-1] = 2 * model.coefs_[-1]
    assert_allclose(model.input_gradient(X), 2 * before, rtol=1e-12)
    model.intercepts_[0] = model.intercepts_[0] + 0.5
    inputs = X @ model.coefs_[0] + model.intercepts_[0]
    assert_allclose(model.hidden_activations(X, 0), np.tanh(inputs), rtol=1e-12)


def test_in_a_pipeline_and_a_grid_search():
    X, y = load_digits(return_X_y=True)
    X = X[:300]
    pipe = make_pipeline(StandardScaler(), MLPClassifier((20,), random_state=0, max_iter=20))
    grid = {"mlpclassifier__activation": ["tanh", "silu"]}
    best = GridSearchCV(pipe, grid, cv=2).fit(X, y[:300]).best_estimator_
    network, scaled = best[-1], best[:-1].transform(X)
    gradient = network.input_gradient(scaled, target=7)
    assert_is_gradient(gradient, lambda X: network._forward(X, link=False)[:, 7], scaled)
    outputs = network.hidden_activations(scaled) @ network.coefs_[-1] + network.intercepts_[-1]
    assert_array_equal(outputs.argmax(axis=1), best.predict(X))
