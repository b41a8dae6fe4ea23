"""To scikit-learn's estimators and back: the same predictions, attributes and training."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as sk
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import fastnn
from common import ACTIVATIONS, PROBLEMS, estimator_for, make_problem, scikit_learn_twin
from exchanges import assert_same_predictions, assert_same_weights, fitted
from fastnn.kernels.losses import LOSSES

HAS_POISSON = parse_version(sklearn.__version__) >= parse_version("1.7")
needs_poisson = pytest.mark.skipif(not HAS_POISSON, reason="scikit-learn 1.7 brought the loss")
EVERY_PROBLEM = [
    pytest.param(name, marks=needs_poisson if name == "poisson" else ()) for name in PROBLEMS
]
# Every kind of state that training goes on from.
STOCHASTIC = {
    "adam": {},
    "other moments": {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-4},
    "no first moment": {"beta_1": 0.0},
    "sgd": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 9.0, "n_iter_no_change": 2},
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("problem", EVERY_PROBLEM)
def test_same_predictions(problem, activation):
    ours, X, _ = fitted(problem, activation=activation)
    theirs = ours.to_sklearn()
    assert type(theirs) is getattr(sk, type(ours).__name__)
    assert_same_predictions(ours, theirs, X)
    again = type(ours).from_sklearn(theirs)
    assert_same_predictions(ours, again, X, tolerance=0)
    assert again.get_params() == ours.get_params()


@pytest.mark.parametrize("problem", EVERY_PROBLEM)
@pytest.mark.parametrize(
    "params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=str
)
def test_attributes_are_those_of_scikit_learns_own_fit(problem, params):
    ours, X, y = fitted(problem, **params)
    fitted_twin = scikit_learn_twin(ours).fit(X, y)
    theirs, native = vars(ours.to_sklearn()), vars(fitted_twin)
    # Two attributes are for lbfgs's own use, anew in each fit; and ours has curves of lbfgs, too.
    assert native.keys() - theirs.keys() <= {"_coef_indptr", "_intercept_indptr"}
    assert theirs.keys() <= native.keys() or ours.solver == "lbfgs"
    again = vars(type(ours).from_sklearn(fitted_twin))
    if ours.solver != "lbfgs":
        assert {name for name in vars(ours).keys() ^ again.keys() if name.endswith("_")} == set()
        assert again["best_epoch_"] == ours.best_epoch_
    for name in theirs.keys() & native.keys():
        if name in ("coefs_", "intercepts_"):
            for left, right in zip(theirs[name], native[name], strict=True):
                np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-8)
        elif name in ("loss_", "best_loss_", "loss_curve_") and native[name] is not None:
            assert theirs[name] == pytest.approx(native[name], rel=1e-7), name
        elif "validation_score" in name and native[name] is not None:
            assert theirs[name] == pytest.approx(native[name], abs=1e-7), name
        elif not name.startswith("_"):
            assert type(theirs[name]) is type(native[name]), name
            np.testing.assert_array_equal(theirs[name], native[name], err_msg=name)
    if "_label_binarizer" in native:
        np.testing.assert_equal(vars(theirs["_label_binarizer"]), vars(native["_label_binarizer"]))
    if "_optimizer" in native:
        assert vars(theirs["_optimizer"]).keys() == vars(native["_optimizer"]).keys()


@pytest.mark.parametrize("params", STOCHASTIC.values(), ids=STOCHASTIC)
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_training_goes_on_at_scikit_learns_as_here(problem, params):
    ours, X, y = fitted(problem, **params)
    theirs = ours.to_sklearn()
    for _ in range(4):
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
    assert_same_weights(ours, theirs)
    assert theirs.t_ == ours.t_
    assert theirs.loss_curve_ == pytest.approx(ours.loss_curve_, abs=1e-9)
    assert theirs._optimizer.learning_rate == pytest.approx(ours._optimizer.learning_rate)


@pytest.mark.parametrize("params", STOCHASTIC.values(), ids=STOCHASTIC)
@pytest.mark.parametrize("problem", ["binary", "multioutput"])
def test_training_goes_on_here_as_at_scikit_learns(problem, params):
    unfitted, X, y = fitted(problem, **params)
    theirs = scikit_learn_twin(unfitted).fit(X, y)
    ours = type(unfitted).from_sklearn(theirs)
    assert np.isnan(ours.learning_rate_curve_).all()
    assert len(ours.learning_rate_curve_) == len(theirs.loss_curve_)
    for _ in range(4):
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
    assert_same_weights(ours, theirs)
    assert ours.t_ == theirs.t_
    assert ours.loss_curve_ == pytest.approx(theirs.loss_curve_, abs=1e-9)
    # Once more through scikit-learn's, with the state of both.
    there_and_back = type(ours).from_sklearn(ours.to_sklearn())
    assert_same_weights(there_and_back.partial_fit(X, y), ours.partial_fit(X, y), 1e-12)


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "sgd"}], ids=str)
def test_warm_start(params):
    ours, X, y = fitted("multiclass", warm_start=True, **params)
    theirs = ours.to_sklearn()
    back = fastnn.MLPClassifier.from_sklearn(theirs)
    for model in (ours, theirs, back):
        model.fit(X, y)
    assert_same_weights(ours, theirs)
    assert_same_weights(back, theirs)
    assert theirs.loss_curve_ == pytest.approx(ours.loss_curve_, abs=1e-9)


def test_a_warm_start_that_finds_nothing_better():
    """It ends with the last weights, under the same best score, on both sides."""
    X, y = load_iris(return_X_y=True)
    params = {"early_stopping": True, "learning_rate_init": 0.1, "random_state": 2}
    theirs = sk.MLPClassifier(8, warm_start=True, **params).fit(X, y)
    ours = fastnn.MLPClassifier.from_sklearn(theirs)
    back = ours.to_sklearn()
    best, score = theirs.coefs_[0].copy(), theirs.best_validation_score_
    for model in (theirs, ours, back):
        assert model.fit(X, y).best_validation_score_ == score
        assert_same_weights(model, theirs)
    assert np.abs(theirs.coefs_[0] - best).max() > 1e-4


def test_adams_steps_are_told_of_the_decay_that_is_left():
    # beta_1**8000 is 0 in floating point.
    X, y = make_problem("regression", n_samples=10)
    params = {"batch_size": 1, "max_iter": 800, "tol": 0, "n_iter_no_change": 800}
    ours = fastnn.MLPRegressor(hidden_layer_sizes=2, random_state=0, **params)
    assert ours.fit(X, y).to_sklearn()._optimizer.t == 8000


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_batch_normalisation_is_folded_in(problem):
    ours, X, y = fitted(problem, batch_norm=True)
    with pytest.warns(UserWarning, match=r"does not have batch_norm=True\. The predictions are"):
        theirs = ours.to_sklearn()
    assert_same_predictions(ours, theirs, X)
    assert np.abs(theirs.coefs_[0] - ours.coefs_[0]).max() > 1e-3
    assert not hasattr(theirs, "_optimizer")
    # Nor where its parameter no longer says so: the moments are those of other weights.
    theirs = ours.set_params(batch_norm=False).to_sklearn()
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_losses_that_scikit_learn_does_not_have(loss):
    ours, X, _ = fitted("regression", loss=loss)
    replaced = r" \(now 'squared_error'\)" if HAS_POISSON else ""
    with pytest.warns(UserWarning, match=f"does not have loss='{loss}'{replaced}"):
        theirs = ours.to_sklearn()
    assert_same_predictions(ours, theirs, X)


def test_gamma_regression_predicts_by_the_exponential():
    X, y = make_problem("poisson")
    ours = fastnn.MLPRegressor("gamma", max_iter=5).fit(X, y + 0.5)
    if not HAS_POISSON:
        with pytest.raises(ValueError, match="loss='gamma' is 'exp'.*from version 1.7 on"):
            ours.to_sklearn()
        return
    with pytest.warns(UserWarning, match=r"loss='gamma' \(now 'poisson'\)"):
        theirs = ours.to_sklearn()
    assert_same_predictions(ours, theirs, X)
    assert theirs.predict(X).min() > 0


def test_a_loss_with_another_output_activation(monkeypatch):
    of_rates = replace(LOSSES["squared_error"], out_activation="logistic")
    monkeypatch.setitem(LOSSES, "of_rates", of_rates)
    with pytest.raises(ValueError, match="'logistic', which the MLPRegressor of scikit-learn"):
        fastnn.MLPRegressor("of_rates").to_sklearn()


def test_the_same_activation_said_for_each_layer():
    ours, X, y = fitted("multiclass", activation=("tanh", "tanh"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = ours.to_sklearn()
    assert theirs.activation == "tanh"
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))


def test_the_network_counts_that_was_fitted():
    ours, X, y = fitted("multiclass")
    ours.set_params(activation="tanh", hidden_layer_sizes=3)
    with pytest.warns(UserWarning, match=r"hidden_layer_sizes=3 \(now \(9, 5\)\)"):
        theirs = ours.to_sklearn()
    assert theirs.activation == "tanh"
    assert_same_predictions(ours, theirs, X)
    assert theirs.partial_fit(X, y).coefs_[0].shape == (7, 9)


def test_a_validation_set_of_ones_own():
    X, y = make_problem("regression")
    validation = {"X_val": X[30:], "y_val": y[30:]}
    ours = fastnn.MLPRegressor(max_iter=5, learning_rate_init=0.3, random_state=0)
    theirs = ours.fit(X[:30], y[:30], **validation).to_sklearn()
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))
    # Here partial_fit with a validation set goes on from the last weights, which are not the best;
    # there from those, with a new state.
    for _ in range(20):
        ours.partial_fit(X[:30], y[:30], **validation)
    theirs = ours.to_sklearn()
    assert ours.best_epoch_ < len(ours.loss_curve_)
    assert not hasattr(theirs, "_optimizer")
    assert_same_predictions(ours, theirs, X)


class OfThree(fastnn.MLPClassifier):
    def __init__(self, alpha=0.5, n_models=1):
        super().__init__((3,), "tanh", solver="sgd", alpha=alpha, dropout=0.5, random_state=0)
        self.n_models = n_models


class AlwaysTanh(fastnn.MLPClassifier):
    def __init__(self, **params):
        super().__init__(**{**params, "activation": "tanh"})


def test_subclasses():
    X, y = make_problem("multiclass")
    ours = OfThree().fit(X, y)
    with pytest.warns(UserWarning, match=r"have dropout=0\.5, n_models=1\. The predictions"):
        theirs = ours.to_sklearn()
    assert_same_predictions(ours, theirs, X)
    assert (theirs.hidden_layer_sizes, theirs.alpha, theirs.solver) == ((3,), 0.5, "sgd")
    for cls, message in ((OfThree, "got an unexpected"), (AlwaysTanh, "__init__ changes activat")):
        with pytest.raises(TypeError, match=f"{message}.* Use MLPClassifier.from_sklearn"):
            cls.from_sklearn(sk.MLPClassifier())
    assert_same_predictions(AlwaysTanh.from_sklearn(theirs), ours, X)


LABELS = {
    "strings": np.array(["no", "yes", "perhaps"] * 19),
    "floats": np.array([0.0, 2.0, 5.0] * 19),
    "booleans": np.array([True, False, False] * 19),
    "one class": np.full(57, "always"),
    "many classes": np.arange(57) % 28,
    "sparse multilabel": sparse.csr_matrix(np.arange(57 * 3).reshape(57, 3) % 7 == 0, dtype=int),
    "two labels": (np.arange(57 * 2).reshape(57, 2) % 5 < 2).astype(int),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels(y):
    X, _ = make_problem("binary")
    ours = fastnn.MLPClassifier(max_iter=4, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = ours.to_sklearn()
    assert theirs.classes_.dtype == ours.classes_.dtype
    assert theirs._label_binarizer.classes_.dtype == ours.classes_.dtype
    assert_same_predictions(ours, theirs, X)
    again = fastnn.MLPClassifier.from_sklearn(theirs)
    assert_same_predictions(ours, again, X, tolerance=0)
    theirs.partial_fit(X, y)
    assert_same_weights(ours.partial_fit(X, y), theirs)
    assert_same_weights(again.partial_fit(X, y), theirs)


def test_classes_announced_to_partial_fit():
    ours = fastnn.MLPClassifier(random_state=0)
    ours.partial_fit([[0.0], [1.0]], ["a", "b"], classes=list("abc"))
    theirs = ours.to_sklearn()
    for model in (ours, theirs):
        model.partial_fit([[2.0]], ["c"])
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("problem", EVERY_PROBLEM)
def test_float32(problem):
    X, y = make_problem(problem)
    X = X.astype(np.float32)
    ours = estimator_for(problem, max_iter=5, random_state=0).fit(X, y)
    theirs = ours.to_sklearn()
    assert {weights.dtype for weights in theirs.coefs_ + theirs.intercepts_} == {np.dtype("f4")}
    if problem in ("regression", "multioutput"):
        assert theirs.predict(X).dtype == np.float32
    assert_same_predictions(ours, theirs, X, tolerance=1e-5)
    again = type(ours).from_sklearn(theirs)
    assert_same_predictions(ours, again, X, tolerance=0)
    assert again.partial_fit(X, y).coefs_[0].dtype == np.float32
    assert_same_weights(again, ours.partial_fit(X, y), 1e-6)


def test_no_hidden_layer():
    ours, X, y = fitted("multiclass", hidden_layer_sizes=(), activation="gelu")
    with pytest.warns(UserWarning, match=r"activation='gelu' \(now 'relu'\)"):
        theirs = ours.to_sklearn()
    assert_same_predictions(ours, theirs, X)


def test_feature_names_are_kept():
    X, y = load_iris(return_X_y=True, as_frame=True)
    ours = fastnn.MLPClassifier(max_iter=3).fit(X, y)
    theirs = ours.to_sklearn()
    again = fastnn.MLPClassifier.from_sklearn(theirs)
    for model in (theirs, again):
        assert list(model.feature_names_in_) == list(X.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(X[X.columns[::-1]])


def test_pickles_do_not_need_this_package():
    ours, X, _ = fitted("multiclass")
    theirs = ours.to_sklearn()
    pickled = pickle.dumps(theirs)
    assert b"fastnn" not in pickled
    assert_same_predictions(ours, pickle.loads(pickled), X)
    again = fastnn.MLPClassifier.from_sklearn(theirs)
    assert_same_predictions(pickle.loads(pickle.dumps(again)), ours, X, tolerance=0)


def test_while_scikit_learns_names_mean_ours():
    ours, X, _ = fitted("regression")
    with fastnn.patch_sklearn():
        theirs = ours.to_sklearn()
        assert_same_predictions(pickle.loads(pickle.dumps(theirs)), ours, X)
        assert_same_predictions(fastnn.MLPRegressor.from_sklearn(theirs), ours, X)
    assert type(theirs) is sk.MLPRegressor


def test_no_memory_is_shared():
    ours, X, y = fitted("regression", random_state=np.random.RandomState(0))
    theirs = ours.to_sklearn()
    again = fastnn.MLPRegressor.from_sklearn(theirs)
    assert theirs._random_state is theirs.random_state is not ours.random_state
    before = ours.predict(X)
    theirs.partial_fit(X, y)
    again.partial_fit(X, y)
    assert len(ours.loss_curve_) == 8
    np.testing.assert_array_equal(ours.predict(X), before)
    assert_same_weights(theirs, ours.partial_fit(X, y))
    # But NumPy's own generator stays everybody's.
    ours, _, _ = fitted("regression", random_state=None)
    assert ours.to_sklearn()._random_state is np.random.mtrand._rand


@pytest.mark.parametrize("problem", EVERY_PROBLEM)
def test_unfitted(problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem, hidden_layer_sizes=4, max_iter=5, random_state=0)
    theirs = ours.to_sklearn()
    with pytest.raises(NotFittedError):
        theirs.predict(X)
    again = type(ours).from_sklearn(theirs)
    assert again.get_params() == ours.get_params()
    assert_same_weights(theirs.fit(X, y), ours.fit(X, y))


def test_unfitted_with_what_scikit_learn_does_not_have():
    with pytest.warns(UserWarning, match=r"dropout=0\.5\. The result will be trained without"):
        fastnn.MLPClassifier(dropout=0.5).to_sklearn()
    with pytest.raises(ValueError, match="The 'solver' parameter of MLPClassifier must be"):
        fastnn.MLPClassifier(solver="guess").to_sklearn()


WRONG_MODELS = [
    (sk.MLPRegressor(), r"MLPClassifier, got sklearn's MLPRegressor\. Use MLPRegressor\.from_skle"),
    (fastnn.MLPClassifier(), "an estimator of this package already"),
    (make_pipeline(sk.MLPClassifier()), r"Give the pipeline's own step, such as pipeline\[-1\]"),
    (sk.MLPClassifier, r"an instance of .*the class MLPClassifier\. Give .* MLPClassifier\(\)\."),
    (StandardScaler(), "got sklearn's StandardScaler.$"),
]


@pytest.mark.parametrize(("model", "message"), WRONG_MODELS, ids=str)
def test_models_of_another_kind(model, message):
    with pytest.raises(TypeError, match=message):
        fastnn.MLPClassifier.from_sklearn(model)
    with pytest.raises(TypeError, match="MLPRegressor, got sklearn's MLPClassifier. Use MLPCl"):
        fastnn.MLPRegressor.from_sklearn(sk.MLPClassifier())


def test_in_a_pipeline_and_a_grid_search():
    X, y = load_iris(return_X_y=True)
    ours = make_pipeline(StandardScaler(), fastnn.MLPClassifier(max_iter=60, random_state=0))
    search = GridSearchCV(ours, {"mlpclassifier__alpha": [1e-4, 10.0]}, cv=3).fit(X, y)
    best = search.best_estimator_
    theirs = make_pipeline(best[0], best[-1].to_sklearn())
    assert theirs.score(X, y) == best.score(X, y) > 0.85
    # And on in scikit-learn's own tools, which clone it and set its parameters.
    again = GridSearchCV(theirs, {"mlpclassifier__alpha": [1e-4, 10.0]}, cv=3).fit(X, y)
    assert again.best_params_ == search.best_params_
