"""Fitted attributes that a program sets count as they do in scikit-learn's estimators."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer

import fastnn
from common import (
    SCIKIT_LEARN,
    assert_same_model,
    estimator_for,
    fit_twin,
    make_problem,
    needs_sklearn,
    predictions,
)

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=5, random_state=0)
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # scikit-learn's logarithms of probabilities that are none.
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def pair(problem, **params):
    """Our fitted estimator, scikit-learn's with the same network, and the data."""
    X, y = make_problem(problem)
    ours = estimator_for(problem, **{**SMALL, **params}).fit(X, y)
    return ours, fit_twin(ours, X, y), X, y


def assert_same_predictions(ours, theirs, X):
    said, expected = predictions(ours, X), predictions(theirs, X)
    for method, values in expected.items():
        if method == "predict_log_proba" and not (expected["predict_proba"] > 0).all():
            continue
        if values.dtype.kind == "f":
            assert_allclose(said[method], values, rtol=1e-6, atol=1e-9)
        else:
            assert_array_equal(said[method], values)
        assert said[method].dtype == values.dtype


# ---- output activations ------------------------------------------------------------------


@pytest.mark.parametrize("out_activation", ["identity", "logistic", "tanh", "relu", "softmax"])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "multioutput"])
def test_output_activation(problem, out_activation):
    ours, theirs, X, _ = pair(problem)
    ours.out_activation_ = theirs.out_activation_ = out_activation
    assert_same_predictions(ours, theirs, X)
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert again.out_activation_ == out_activation
        assert_same_predictions(again, theirs, X)


@needs_sklearn("1.7")
def test_output_activation_of_another_loss():
    ours, theirs, X, _ = pair("regression")
    ours.out_activation_ = theirs.out_activation_ = "exp"
    assert_same_predictions(ours, theirs, X)


def test_output_activation_that_there_is_not():
    ours, _, X, y = pair("regression")
    ours.out_activation_ = "sine"
    with pytest.raises(ValueError, match="out_activation_ must be one of .*'tanh'.*got 'sine'"):
        ours.predict(X)


def test_training_does_not_go_on_with_another_output_activation():
    ours, _, X, y = pair("regression")
    ours.out_activation_ = "relu"
    before = ours.predict(X)
    with pytest.raises(ValueError, match="out_activation_='relu' was set by hand.*'identity'"):
        ours.partial_fit(X, y)
    assert_array_equal(ours.predict(X), before)
    ours.out_activation_ = "identity"
    ours.partial_fit(X, y)


def test_margins_stay_margins():
    """The threshold of a network trained with the hinge loss is 0, of others one half."""
    X, y = make_problem("binary")
    model = fastnn.MLPClassifier(**SMALL, loss="hinge").fit(X, y)
    assert_array_equal(model.predict(X), model.classes_[(model.decision_function(X) > 0) * 1])


# ---- hidden activations ------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh"])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multioutput"])
def test_activation_changed_after_the_fit(problem, activation):
    ours, theirs, X, y = pair(problem)
    for model in (ours, theirs):
        model.set_params(activation=activation)
    assert_same_predictions(ours, theirs, X)
    assert_same_predictions(ours.partial_fit(X, y), theirs.partial_fit(X, y), X)


def test_activation_with_a_parameter_begins_with_its_own():
    ours, _, X, _ = pair("regression")
    ours.activation = "prelu"
    leaky = copy.deepcopy(ours).set_params(activation="prelu")
    assert_array_equal(ours.predict(X), leaky.predict(X))
    network, params = ours._fitted_network()
    assert [slope.item() for slope in network.slopes(params)] == [0.25, 0.25]


def test_activation_that_there_is_not():
    ours, _, X, _ = pair("regression")
    ours.activation = ["relu"]
    with pytest.raises(ValueError, match="activation has 1 entries"):
        ours.predict(X)


# ---- labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_label_binarizer(problem):
    ours, theirs, X, _ = pair(problem)
    names = np.array(["a", "b", "c", "d"])[: len(ours.classes_)]
    for model in (ours, theirs):
        model._label_binarizer = LabelBinarizer().fit(names)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict(X).dtype.kind == "U"
    for model in (ours, theirs):
        model._label_binarizer.fit(names[::-1] + np.array("z"))
    assert_array_equal(ours.predict(X), theirs.predict(X))
    for model in (ours, theirs):
        model._label_binarizer.classes_ = np.arange(10, 10 + len(names))
    assert_array_equal(ours.predict(X), theirs.predict(X))
    again = pickle.loads(pickle.dumps(ours))
    assert_array_equal(again.predict(X), theirs.predict(X))


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_renamed_classes_do_not_count_in_predictions(problem):
    ours, theirs, X, y = pair(problem)
    for model in (ours, theirs):
        model.classes_ = model.classes_ + 7
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert_array_equal(ours.predict(X), y * 0 + ours.predict(X))


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_label_binarizer_with_other_settings(problem):
    """Its own inverse_transform decides, whatever its labels for yes and no are."""
    ours, theirs, X, y = pair(problem)
    binarizer = LabelBinarizer(neg_label=-1, pos_label=3).fit(y)
    for model in (ours, theirs):
        model._label_binarizer = binarizer
    assert_array_equal(ours.predict(X), theirs.predict(X))


class Reversed:
    """Something else that knows labels."""

    def inverse_transform(self, outputs):
        return outputs[::-1]


def test_something_else_in_the_place_of_the_label_binarizer():
    ours, _, X, _ = pair("binary")
    ours._label_binarizer = Reversed()
    assert_array_equal(ours.predict(X), ours.predict_proba(X)[::-1, 1])


def test_sparse_multilabel_predictions_stay_sparse():
    X, y = make_problem("multilabel")
    ours = fastnn.MLPClassifier(**SMALL).fit(X, sparse.csr_matrix(y))
    theirs = fit_twin(ours, X, sparse.csr_matrix(y))
    assert sparse.issparse(ours.predict(X))
    assert (ours.predict(X) != theirs.predict(X)).nnz == 0
    assert ours._label_binarizer.sparse_input_


# ---- weights -----------------------------------------------------------------------------

RESHAPES = {
    "intercepts of one row": lambda w, b: (w, [v.reshape(1, -1) for v in b]),
    "lists": lambda w, b: ([v.tolist() for v in w], [v.tolist() for v in b]),
    "float16": lambda w, b: ([v.astype("f2") for v in w], [v.astype("f2") for v in b]),
    "float32": lambda w, b: ([v.astype("f4") for v in w], [v.astype("f4") for v in b]),
    "integers": lambda w, b: ([np.rint(v * 9).astype(int) for v in w], [v > 0 for v in b]),
    "Fortran": lambda w, b: ([np.asfortranarray(v) for v in w], [v[::1] for v in b]),
    "tuples": lambda w, b: (tuple(w), tuple(b)),
    "a number": lambda w, b: (w, [0.5] * len(b)),
}


@pytest.mark.parametrize("kind", RESHAPES)
@pytest.mark.parametrize("problem", ["binary", "multioutput"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_of_other_shapes_and_types(problem, kind, dtype):
    ours, theirs, X, _ = pair(problem)
    coefs, intercepts = RESHAPES[kind](theirs.coefs_, theirs.intercepts_)
    X = X.astype(dtype)
    for model in (ours, theirs):
        # scikit-learn adds intercepts in place, to the type of the product.
        model.coefs_, model.intercepts_ = list(map(np.asarray, coefs)), intercepts
    said, expected = ours._forward_pass_fast(X), theirs._forward_pass_fast(X)
    tolerance = 1e-9 if expected.dtype == np.float64 else 3e-3 if kind == "float16" else 1e-5
    assert_allclose(said, expected, rtol=tolerance, atol=tolerance)
    assert said.dtype == expected.dtype
    ours.coefs_ = coefs
    assert_array_equal(ours._forward_pass_fast(X), said)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_weights(make):
    ours, theirs, X, _ = pair("multiclass")
    for model in (ours, theirs):
        model.coefs_ = [make(np.where(np.abs(coef) > 0.3, coef, 0.0)) for coef in model.coefs_]
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


def test_fewer_layers():
    """Predictions go through as many layers as ``n_layers_`` says."""
    ours, theirs, X, _ = pair("regression")
    for model in (ours, theirs):
        model.n_layers_ = 3
        model.n_outputs_ = 4
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multioutput"])
def test_float32_network_predicts_float64_data_in_float64(problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem, **SMALL).fit(X.astype("f4"), y)
    theirs = fit_twin(ours, X.astype("f4"), y)
    theirs.coefs_, theirs.intercepts_ = ours.coefs_, ours.intercepts_
    said, expected = predictions(ours, X), predictions(theirs, X)
    for method, values in expected.items():
        assert_allclose(said[method], values, rtol=1e-12)
        assert said[method].dtype == values.dtype
    # Also where a prediction has been prepared, and after a change of the weights.
    for model in (ours, theirs):
        model.coefs_[0][:] *= 2
    assert_allclose(ours._forward_pass_fast(X), theirs._forward_pass_fast(X), rtol=1e-12)
    assert ours._forward_pass_fast(X.astype("f4")).dtype == np.float32


def test_a_precision_that_was_asked_for_stays():
    X, y = make_problem("regression")
    assert fastnn.MLPRegressor(**SMALL, dtype="float32").fit(X, y).predict(X).dtype == np.float32
    with fastnn.config_context(dtype="float32"):
        model = fastnn.MLPRegressor(**SMALL).fit(X, y)
    assert pickle.loads(pickle.dumps(model)).predict(X).dtype == np.float32


# ---- put together without a fit ----------------------------------------------------------


def put_together(cls, source, *names, **params):
    """An estimator that was never fitted, with some attributes of one that was."""
    model = cls(**params)
    for name in names:
        setattr(model, name, copy.deepcopy(getattr(source, name)))
    return model


NETWORK = ("coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_")


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize(
    "labels", [("classes_", "_label_binarizer"), ("_label_binarizer",), ("classes_",)]
)
def test_classifier_put_together(problem, labels):
    ours, theirs, X, _ = pair(problem, activation="tanh")
    model = put_together(fastnn.MLPClassifier, theirs, *NETWORK, *labels, activation="tanh")
    assert_same_predictions(model, theirs, X)


def test_classifier_without_labels_has_probabilities():
    ours, theirs, X, _ = pair("multiclass")
    model = put_together(fastnn.MLPClassifier, theirs, *NETWORK)
    assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


def test_regressor_put_together():
    ours, theirs, X, _ = pair("multioutput", activation="logistic")
    model = put_together(fastnn.MLPRegressor, theirs, *NETWORK, activation="logistic")
    assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-6)


HISTORY = ("t_", "loss_curve_", "best_loss_", "_no_improvement_count", "n_features_in_",
           "validation_scores_", "best_validation_score_")  # fmt: skip


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "multioutput"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_goes_on_from_what_was_put_together(problem, solver):
    """As in scikit-learn, where the same attributes have to be there."""
    _, source, X, y = pair(problem)
    labels = () if problem == "multioutput" else ("classes_", "_label_binarizer")
    params = dict(solver=solver, hidden_layer_sizes=(6, 4), random_state=0)
    cls = type(estimator_for(problem))
    ours = put_together(cls, source, *NETWORK, *labels, **params)
    theirs = put_together(SCIKIT_LEARN[cls], source, *NETWORK, *labels, *HISTORY, **params)
    for _ in range(3):
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
    assert_same_predictions(ours, theirs, X)


def test_partial_fit_of_a_classifier_with_classes_only():
    ours, theirs, X, y = pair("multiclass")
    model = put_together(fastnn.MLPClassifier, theirs, *NETWORK, "classes_", random_state=0)
    model.set_params(hidden_layer_sizes=(6, 4)).partial_fit(X, y)
    assert_array_equal(model.classes_, ours.classes_)
    assert model.t_ == len(X)


def test_averaged_weights_are_trained_on():
    """Federated averaging: networks of several places become one, which trains on in each."""
    X, y = make_problem("multiclass", n_samples=90)
    parts = [slice(0, 30), slice(30, 60), slice(60, 90)]
    models = []
    for cls in (fastnn.MLPClassifier, SCIKIT_LEARN[fastnn.MLPClassifier]):
        places = [cls(hidden_layer_sizes=(5,), random_state=0) for _ in parts]
        for _ in range(3):
            for place, part in zip(places, parts, strict=True):
                place.partial_fit(X[part], y[part], classes=range(4))
            for names in ("coefs_", "intercepts_"):
                mean = [
                    np.mean(v, axis=0)
                    for v in zip(*(getattr(p, names) for p in places), strict=True)
                ]
                for place in places:
                    setattr(place, names, [v.copy() for v in mean])
        models.append(places[0])
    assert_allclose(models[0].predict_proba(X), models[1].predict_proba(X), rtol=1e-6)


def test_a_put_together_estimator_is_pickled():
    ours, theirs, X, _ = pair("multiclass")
    model = put_together(fastnn.MLPClassifier, theirs, *NETWORK, "classes_")
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), theirs.predict(X))
    assert_same_model(copy.deepcopy(model), model, X)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_marks_that_are_set_count(early_stopping):
    """A model that is put together from what was stored goes on as scikit-learn's does."""
    X, y = make_problem("multiclass", n_samples=200)
    params = SMALL | dict(early_stopping=early_stopping, max_iter=12, n_iter_no_change=5)
    ours = estimator_for("multiclass", **params, warm_start=True)
    theirs = SCIKIT_LEARN[type(ours)](**params, warm_start=True)
    for model in (ours, theirs):
        model.fit(X, y)
        put_together = copy.deepcopy(model)
        for name in [n for n in vars(model) if n.startswith("_") and n != "_label_binarizer"]:
            vars(put_together).pop(name, None)
        put_together._no_improvement_count = 2
        if early_stopping:
            put_together.best_validation_score_ = 2.0
            # scikit-learn ends with these.
            put_together._best_coefs, put_together._best_intercepts = (
                model.coefs_,
                model.intercepts_,
            )
        else:
            put_together.best_loss_ = 0.0
        put_together.set_params(learning_rate_init=1e-6).fit(X, y)
        model.n_epochs = len(put_together.loss_curve_) - len(model.loss_curve_)
    assert ours.n_epochs == theirs.n_epochs < 12
