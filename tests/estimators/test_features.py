"""Features that scikit-learn's networks do not have, as a user sees them."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import assert_same_model, make_problem
from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = dict(hidden_layer_sizes=(20, 10), max_iter=20, batch_size=16, random_state=0)


def halving(progress):
    """A schedule that pickle knows."""
    return 0.5**progress


# ---- averages of the weights -----------------------------------------------------------


def test_weight_average_is_a_model_of_its_own():
    """The fitted weights are the average; training itself is as without it."""
    X, y = make_problem("multiclass")
    plain = MLPClassifier(**SMALL).fit(X, y)
    averaged = MLPClassifier(**SMALL, weight_average=0.99).fit(X, y)
    assert averaged.loss_curve_ == plain.loss_curve_
    assert np.abs(averaged.coefs_[0] - plain.coefs_[0]).max() > 1e-4
    np.testing.assert_array_equal(averaged._training_state.params, plain._trained.params)


def test_partial_fit_goes_on_behind_the_average():
    X, y = make_problem("regression")
    plain, averaged = (MLPRegressor(**SMALL, weight_average=decay) for decay in (None, 0.9))
    for _ in range(4):
        for model in (plain, averaged):
            model.random_state = 5
            model.partial_fit(X, y)
        averaged = pickle.loads(pickle.dumps(averaged))
        assert averaged.loss_ == plain.loss_
    # Weights that the user changes count.
    averaged.coefs_[0][...] = 0
    changed = copy.deepcopy(averaged).partial_fit(X, y)
    assert changed.loss_ != averaged.partial_fit(X, y).loss_ or changed.loss_ != plain.loss_


def test_average_and_early_stopping():
    """The scores are the average's, and so are the weights that are restored."""
    X, y = make_problem("binary", n_samples=200)
    model = MLPClassifier(**SMALL, weight_average=0.95, early_stopping=True).fit(X, y)
    assert max(model.validation_scores_) == model.best_validation_score_


# ---- batch normalisation ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_attributes(dtype):
    X, y = make_problem("multiclass", n_samples=300)
    model = MLPClassifier(**SMALL, batch_norm=True, dtype=dtype).fit(X, y)
    assert model.n_parameters_ == sum(c.size for c in [*model.coefs_, *model.intercepts_]) + 60
    for name, start in (("scale", 1), ("shift", 0), ("mean", 0), ("var", 1)):
        views = getattr(model, f"batch_norm_{name}_")
        assert [view.shape for view in views] == [(20,), (10,)]
        assert all(view.dtype == dtype and (view != start).all() for view in views)
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    np.testing.assert_allclose(model.batch_norm_mean_[0], hidden.mean(axis=0), atol=0.5)
    plain = MLPClassifier(**SMALL).fit(X, y)
    assert plain.batch_norm_scale_ == [] and plain.activation_params_ == [None, None]


def test_batch_norm_follows_changed_arrays():
    """Folding is done anew for each prediction, also for few rows, whose plans are kept."""
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, batch_norm=True).fit(X, y)
    before, few = model.predict(X), model.predict(X[:2])
    np.testing.assert_allclose(few, before[:2], rtol=1e-12)
    model.batch_norm_scale_[1][...] = 0
    model.batch_norm_shift_[1][...] = 0
    constant = model.predict(X)
    np.testing.assert_allclose(constant, model.intercepts_[-1][0], rtol=1e-12)
    np.testing.assert_allclose(model.predict(X[:2]), constant[:2], rtol=1e-12)
    model.coefs_ = [coef.copy() for coef in model.coefs_]
    np.testing.assert_allclose(model.predict(X), constant, rtol=1e-12)


def test_batch_norm_has_no_lbfgs():
    with pytest.raises(ValueError, match="batch_norm=True is not available with solver='lbfgs'"):
        MLPClassifier(batch_norm=True, solver="lbfgs").fit([[0.0], [1.0]], [0, 1])


def test_batch_of_one():
    """A last mini-batch of one row trains, and leaves the running variance as it is."""
    X, y = make_problem("binary", n_samples=33)
    model = MLPClassifier(**SMALL, batch_norm=True).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert all((variance > 0).all() for variance in model.batch_norm_var_)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_other_parameters(method):
    """New parameters begin anew, learned ones stay, and normalisation that goes is folded in."""
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, y)

    def go_on(**settings):
        model.set_params(**settings, learning_rate_init=1e-12, max_iter=1)
        return getattr(model, method)(X, y)

    weights = model.coefs_[1].copy()
    go_on(batch_norm=True, batch_norm_momentum=1e-12)
    np.testing.assert_allclose(model.coefs_[1], weights, atol=1e-9)
    model.batch_norm_mean_[0][...], model.batch_norm_var_[1][...] = 0.3, 4.0
    go_on(activation=("prelu", "relu"))
    np.testing.assert_allclose(model.batch_norm_mean_[0], 0.3)
    np.testing.assert_allclose(model.batch_norm_var_[1], 4.0)
    model.activation_params_[0][...] = 0.7
    go_on(activation=("prelu", "tanh"))
    assert model.activation_params_[0][0] == pytest.approx(0.7)
    before = model.predict(X)
    go_on(batch_norm=False)
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-6)


def test_best_scores_of_another_loss_do_not_count():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL | {"max_iter": 60}, warm_start=True).fit(X, y * 1e-3)
    best = model.best_loss_
    model.set_params(loss="absolute_error").fit(X, y)
    assert model.best_loss_ == min(model.loss_curve_[-model.n_iter_ :]) > best


def test_batch_norm_needs_more_than_a_row():
    X, y = make_problem("binary")
    with pytest.raises(ValueError, match="more than one sample, got batch_size=1"):
        MLPClassifier(batch_norm=True, batch_size=1).fit(X, y)


def test_methods_are_those_of_the_fitted_loss():
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL, loss="hinge").fit(X, y).set_params(loss="log_loss")
    assert hasattr(model, "decision_function") and not hasattr(model, "predict_proba")


@pytest.mark.parametrize("solver", ["sgd", "adamw", "muon"])
def test_alpha_may_change_between_calls(solver):
    X, y = make_problem("binary")
    sizes = []
    for alpha in (0.0, 50.0):
        model = MLPClassifier(**SMALL, solver=solver, alpha=0.0)
        model.partial_fit(X, y, classes=[0, 1]).set_params(alpha=alpha)
        for _ in range(5):
            model.partial_fit(X, y)
        sizes.append(np.abs(model.coefs_[0]).mean())
    assert sizes[1] < 0.9 * sizes[0]


def test_unknown_loss_has_tags():
    with pytest.raises(ValueError, match="'loss' parameter of MLPRegressor must be"):
        GridSearchCV(MLPRegressor(loss="typo"), {"alpha": [1.0]}, error_score="raise").fit(
            *make_problem("regression")
        )


# ---- learned slopes --------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_prelu_learns(solver):
    X, y = make_problem("regression", n_samples=200)
    activation = ["prelu", "tanh"]
    model = MLPRegressor(**SMALL, activation=activation, solver=solver).fit(X, y)
    (slope,), none = model.activation_params_
    assert none is None and slope != 0.25 and model.n_parameters_ == model._trained.params.size
    before = model.predict(X)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), before)
    model.activation_params_[0][...] = 1.0
    assert not np.array_equal(model.predict(X), before)


# ---- losses ----------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_hinge(problem):
    X, y = make_problem(problem, n_samples=200)
    model = MLPClassifier(**SMALL | {"max_iter": 200}, loss="hinge").fit(X, y)
    assert model.score(X, y) > 0.85
    assert not hasattr(model, "predict_proba") and not hasattr(model, "predict_log_proba")
    margins = model.decision_function(X)
    assert model.out_activation_ == "identity"
    if problem == "multiclass":
        predicted = model.classes_[margins.argmax(axis=1)]
    else:
        predicted = (margins > 0).astype(int)
    np.testing.assert_array_equal(model.predict(X), predicted)
    with pytest.raises(AttributeError) as caught:
        model.predict_proba(X)
    assert "not available for loss='hinge'" in str(caught.value.__cause__)


def test_probabilities_have_no_margins():
    model = MLPClassifier()
    assert not hasattr(model, "decision_function")
    with pytest.raises(AttributeError) as caught:
        model.decision_function([[0.0]])
    assert "only available with loss='hinge'" in str(caught.value.__cause__)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_label_smoothing_shrinks_probabilities(loss, problem):
    X, y = make_problem(problem, n_samples=100)
    params = SMALL | {"max_iter": 300, "solver": "adam", "alpha": 0}
    sharp, smooth = (
        MLPClassifier(**params, loss=loss, label_smoothing=part).fit(X, y).predict_proba(X)
        for part in (0.0, 0.4)
    )
    # With two classes 0.8 is the best for the right one; with four, 0.7.
    assert np.median(smooth.max(axis=-1)) < 0.85 < np.median(sharp.max(axis=-1))


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantiles(quantile):
    """The part of the targets below the prediction is the quantile."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = X[:, 0] + rng.exponential(1.0, 2000)
    model = MLPRegressor(
        "quantile",
        (20,),
        quantile=quantile,
        max_iter=60,
        learning_rate="cosine",
        learning_rate_init=0.01,
        random_state=0,
    ).fit(X, y)
    assert (y < model.predict(X)).mean() == pytest.approx(quantile, abs=0.03)
    others = [mean_pinball_loss(y, model.predict(X), alpha=a) for a in (0.1, 0.5, 0.9)]
    assert np.isfinite(others).all()


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_outliers_matter_less(loss):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 1))
    y = 2 * X[:, 0]
    y[::10] += 100
    errors = {}
    for name in (loss, "squared_error"):
        model = MLPRegressor(
            loss=name,
            hidden_layer_sizes=(),
            solver="adam",
            learning_rate="cosine",
            max_iter=400,
            learning_rate_init=0.05,
            n_iter_no_change=400,
            random_state=0,
        ).fit(X, y)
        errors[name] = np.abs(np.delete(model.predict(X) - y, np.s_[::10])).mean()
    assert errors[loss] < 0.3 < errors["squared_error"]


def test_gamma_needs_positive_targets():
    X, y = np.ones((4, 1)), [1.0, 2.0, 0.0, 3.0]
    with pytest.raises(ValueError, match=r"loss 'gamma'.*requires y > 0.*smallest value is 0.0"):
        MLPRegressor(loss="gamma").fit(X, y)
    assert (MLPRegressor(loss="gamma", max_iter=3).fit(X, [1, 2, 3, 4]).predict(X) > 0).all()


# ---- schedules -------------------------------------------------------------------------


def test_learning_rate_curve():
    X, y = make_problem("binary", n_samples=64)
    params = SMALL | {"max_iter": 8, "learning_rate_init": 0.01}
    constant = MLPClassifier(**params).fit(X, y)
    assert constant.learning_rate_curve_ == [0.01] * 8
    falling = MLPClassifier(**params, learning_rate=halving).fit(X, y)
    last_steps = (np.arange(1, 9) * 4 - 1) / 32
    np.testing.assert_allclose(falling.learning_rate_curve_, 0.01 * 0.5**last_steps)
    loaded = pickle.loads(pickle.dumps(falling))
    assert loaded.learning_rate is halving


def test_partial_fit_moves_along_the_schedule():
    """Each call is an epoch of max_iter."""
    X, y = make_problem("binary", n_samples=64)
    params = SMALL | {"max_iter": 4, "learning_rate": "cosine"}
    whole = MLPClassifier(**params, shuffle=False).fit(X, y)
    parts = MLPClassifier(**params, shuffle=False)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1])
    assert_same_model(whole, parts, X)
    assert parts.learning_rate_curve_ == whole.learning_rate_curve_


@pytest.mark.parametrize("solver", ["adamw", "nadam"])
def test_schedules_of_epochs_with_our_own_solvers(solver):
    X, y = make_problem("binary", n_samples=64)
    settings = SMALL | {"max_iter": 40, "solver": solver, "tol": 10.0, "n_iter_no_change": 3}
    model = MLPClassifier(**settings, learning_rate="adaptive").fit(X, y)
    np.testing.assert_allclose(np.unique(model.learning_rate_curve_)[-3:], [4e-5, 2e-4, 1e-3])
    model = MLPClassifier(**settings, learning_rate="invscaling").fit(X, y)
    np.testing.assert_allclose(model.learning_rate_curve_[1], 1e-3 / np.sqrt(65))


def test_warmup_counts_with_adam_whatever_the_schedule():
    X, y = make_problem("binary", n_samples=64)
    settings = SMALL | {"max_iter": 8, "warmup_fraction": 0.5}
    warm = MLPClassifier(**settings).fit(X, y)
    assert warm.learning_rate_curve_[0] < warm.learning_rate_curve_[-1] == 1e-3
    assert_same_model(warm, MLPClassifier(**settings, learning_rate="invscaling").fit(X, y), X)


# ---- dropout ---------------------------------------------------------------------------


def test_dropout_depends_on_the_seed_alone():
    X, y = make_problem("multiclass", n_samples=300)
    params = SMALL | {"dropout": [0.3, 0.1], "input_dropout": 0.1, "batch_size": 128}
    first = MLPClassifier(**params, n_jobs=1).fit(X, y)
    assert_same_model(first, MLPClassifier(**params, n_jobs=2).fit(X, y), X)
    other = MLPClassifier(**params | {"random_state": 1}).fit(X, y)
    assert not np.array_equal(first.coefs_[0], other.coefs_[0])


def test_partial_fit_has_new_masks():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, dropout=0.5, learning_rate_init=1e-12, shuffle=False)
    losses = {model.partial_fit(X, y).loss_ for _ in range(5)}
    assert len(losses) == 5


# ---- in scikit-learn's tools -----------------------------------------------------------


def test_grid_search_over_features():
    X, y = make_problem("multiclass", n_samples=120)
    grid = {
        "mlpclassifier__activation": ["gelu", ("prelu", "relu")],
        "mlpclassifier__batch_norm": [False, True],
        "mlpclassifier__learning_rate": ["one_cycle", halving],
    }
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL, solver="adamw"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
