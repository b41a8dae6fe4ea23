"""Trainings that go on from an earlier one, where what validates them or ends them changes."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

from common import assert_same_model, fitted_attributes, make_problem
from fastnn import MLPClassifier, MLPRegressor
from fastnn.exceptions import AdviceWarning

SMALL = dict(hidden_layer_sizes=(8,), random_state=0)


def split(problem, n_samples=150):
    """Training rows, and validation rows as keywords."""
    X, y = make_problem(problem, n_samples=n_samples)
    return X[:-50], y[:-50], {"X_val": X[-50:], "y_val": y[-50:]}


def test_another_scoring_is_another_mark():
    """The model that goes on is the mark to beat, by the new scoring."""
    X, y, held_out = split("binary")
    model = MLPClassifier(**SMALL, warm_start=True, max_iter=20).fit(X, y, **held_out)
    model.set_params(scoring="loss", max_iter=50)
    started = MLPClassifier(**SMALL, scoring="loss", max_iter=20).fit(X, y, **held_out)
    model.fit(X, y, **held_out)
    assert model.best_epoch_ > 20
    assert model.best_validation_score_ == max(model.validation_scores_[20:])
    assert model.best_validation_score_ > started.best_validation_score_


def test_another_validation_set_is_another_mark():
    X, y, held_out = split("binary")
    easy = {"X_val": X[:1], "y_val": y[:1]}
    model = MLPClassifier(**SMALL, warm_start=True, max_iter=20).fit(X, y, **easy)
    assert model.best_validation_score_ == 1
    model.set_params(max_iter=200).fit(X, y, **held_out)
    assert model.best_validation_score_ < 1
    assert model.best_validation_score_ == model.score(held_out["X_val"], held_out["y_val"])


def test_a_run_that_only_loses_keeps_the_model():
    X, y, held_out = split("binary")
    model = MLPClassifier(**SMALL, warm_start=True, scoring="loss", max_iter=300)
    model.fit(X, y, **held_out)
    before, epoch = model.coefs_[0].copy(), model.best_epoch_
    model.set_params(learning_rate_init=1.0, max_iter=3).fit(X, y, **held_out)
    assert_array_equal(model.coefs_[0], before)
    assert model.best_epoch_ == epoch
    assert len(model.validation_scores_) == len(model.loss_curve_) > epoch


def test_curves_stay_aligned():
    """Epochs without a validation set have NaN where it began only later."""
    X, y, held_out = split("regression")
    model = MLPRegressor(**SMALL, warm_start=True, max_iter=5).fit(X, y)
    model.fit(X, y, **held_out)
    assert len(model.loss_curve_) == len(model.validation_scores_) == 10
    assert np.isnan(model.validation_scores_[:5]).all()
    assert np.isfinite(model.validation_loss_curve_[5:]).all()
    assert model.validation_scores_[model.best_epoch_ - 1] == model.best_validation_score_


def test_the_model_of_an_unvalidated_fit_may_stay_the_best():
    X, y, held_out = split("regression")
    model = MLPRegressor(**SMALL, warm_start=True, max_iter=300).fit(X, y)
    before, n = model.coefs_[0].copy(), len(model.loss_curve_)
    model.set_params(learning_rate_init=1.0, max_iter=2).fit(X, y, **held_out)
    assert_array_equal(model.coefs_[0], before)
    assert model.best_epoch_ == n


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_patience_is_of_what_decides(method):
    """Epochs that did not lower the training loss do not count against the validation score."""
    X, y, held_out = split("binary")
    settings = SMALL | dict(tol=10.0, n_iter_no_change=3, warm_start=True)
    model = MLPClassifier(**settings, max_iter=300)
    if method == "fit":
        model.fit(X, y, **held_out).set_params(early_stopping=True).fit(X, y, **held_out)
        assert model.n_iter_ == 4
        return
    for _ in range(10):
        model.partial_fit(X, y, classes=[0, 1], **held_out)
    model.set_params(early_stopping=True)
    calls = 0
    while model.stop_reason_ is None or calls == 0:
        model.partial_fit(X, y, **held_out)
        calls += 1
    assert calls >= 4


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_divergence_is_no_state_to_go_on_from(solver):
    X, y, held_out = split("regression")
    model = MLPRegressor(**SMALL, solver=solver)
    for _ in range(3):
        model.partial_fit(X, y, **held_out)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model.partial_fit(X * 1e160, y, **held_out)
    best = model.coefs_[0].copy()
    for _ in range(40):
        model.partial_fit(X, y, **held_out)
    assert np.isfinite(model.loss_curve_[-40:]).all()
    assert not np.array_equal(model.coefs_[0], best)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_interrupted_in_validation(solver):
    """The epoch does not count, the curves stay aligned, the best weights are there."""
    X, y, held_out = split("regression")
    calls = []

    def scorer(model, X, y):
        calls.append(model)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return -abs(len(calls) - 3)

    model = MLPRegressor(**SMALL, solver=solver, scoring=scorer)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y, **held_out)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 4
    assert model.best_epoch_ == 3
    assert_array_equal(model.predict(X), calls[2].predict(X))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("how", ["unfitted", "fit", "warm_start", "partial_fit"])
def test_interrupted_before_the_first_score(how, solver):
    """The estimator is as it was, also where it was not fitted."""
    if (how, solver) == ("partial_fit", "lbfgs"):
        return
    X, y, held_out = split("binary")
    model = MLPClassifier(**SMALL, solver=solver, warm_start=how == "warm_start", max_iter=5)
    if how == "partial_fit":
        model.partial_fit(X, y, classes=[0, 1], **held_out)
    elif how != "unfitted":
        model.fit(X, y, **held_out)
    before = pickle.loads(pickle.dumps(model))
    method = "partial_fit" if how == "partial_fit" else "fit"
    with pytest.raises(KeyboardInterrupt):
        getattr(model.set_params(scoring=interrupt), method)(X, y, **held_out)
    model.set_params(scoring=None)
    assert vars(model).keys() == vars(before).keys()
    np.testing.assert_equal(fitted_attributes(model), fitted_attributes(before))
    for estimator in (model, before):
        getattr(estimator, method)(X, y, **held_out)
    assert_same_model(model, before, X)


def interrupt(model, X, y):
    raise KeyboardInterrupt


def test_an_average_begins_anew_from_the_best():
    X, y, held_out = split("regression")
    model = MLPRegressor(
        **SMALL,
        solver="sgd",
        weight_average=0.99,
        learning_rate_init=0.05,
        max_iter=60,
        scoring=lambda model, X, y: -abs(model.n_iter_ - 20),
    ).fit(X, y, **held_out)
    assert model.best_epoch_ == 20
    best = model.coefs_[0].copy()
    last = model._training_state.average.values[: best.size].reshape(best.shape).copy()
    model.set_params(learning_rate_init=1e-6).partial_fit(X[:20], y[:20])
    assert abs(model.coefs_[0] - best).max() < 0.1 * abs(best - last).max()


@pytest.mark.parametrize("change", [dict(solver="rmsprop"), dict(dtype="float32")])
def test_training_goes_on_from_the_last_weights_under_another_solver(change):
    X, y, held_out = split("binary")
    model = MLPClassifier(**SMALL, learning_rate_init=0.05)
    for _ in range(30):
        model.partial_fit(X, y, classes=[0, 1], **held_out)
    assert model.best_epoch_ < 30
    last = model._training_state.params[: model.coefs_[0].size].reshape(model.coefs_[0].shape)
    model.set_params(learning_rate_init=1e-9, **change).partial_fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], last, atol=1e-6 if "solver" in change else 0.1)
    assert abs(model.coefs_[0] - last).max() < 0.1


def test_lbfgs_ends_what_early_stopping_ended():
    X, y, held_out = split("binary")
    model = MLPClassifier(**SMALL, early_stopping=True, n_iter_no_change=1, tol=10.0)
    while getattr(model, "stop_reason_", None) is None:
        model.partial_fit(X, y, classes=[0, 1], **held_out)
    model.set_params(solver="lbfgs", warm_start=True, max_iter=3).fit(X, y, **held_out)
    seen = model.t_
    model.set_params(solver="adam").partial_fit(X, y, **held_out)
    assert model.t_ == seen + len(y)


def never(model, X, y):
    return np.nan


UNDEFINED = {
    "one sample": lambda X, y: ({"X_val": X[:1], "y_val": y[:1]}, None),
    "overflow": lambda X, y: ({"X_val": X[:9] * 1e200, "y_val": y[:9]}, None),
    "infinite loss": lambda X, y: ({"X_val": X[:9] * 1e200, "y_val": y[:9]}, "loss"),
    "NaN": lambda X, y: ({"X_val": X[:9], "y_val": y[:9]}, never),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", UNDEFINED)
def test_a_score_that_is_never_defined(kind, early_stopping, solver):
    """The model is that of the last epoch, not one that is not trained, and a warning says so."""
    X, y, _ = split("regression")
    held_out, scoring = UNDEFINED[kind](X, y)
    settings = SMALL | dict(solver=solver, max_iter=20)
    model = MLPRegressor(**settings, early_stopping=early_stopping, scoring=scoring)
    with pytest.warns(AdviceWarning, match="never a finite number, so the model keeps the last we"):
        model.fit(X, y, **held_out)
    plain = MLPRegressor(**settings | {"max_iter": model.n_iter_}).fit(X, y)
    assert_same_model(model, plain, X)
    assert model.best_epoch_ is None and model.best_validation_score_ == -np.inf


def test_a_scorer_that_is_never_defined_on_rows_that_are_set_aside():
    X, y, _ = split("regression")
    model = MLPRegressor(**SMALL, early_stopping=True, max_iter=20, scoring=never)
    with pytest.warns(AdviceWarning, match="so the model keeps the last weights"):
        model.fit(X, y)
    plain = MLPRegressor(**SMALL, early_stopping=True, max_iter=20, scoring=latest).fit(X, y)
    assert_same_model(model, plain, X)


def latest(model, X, y):
    return model.t_


def test_one_epoch_that_was_asked_for_is_not_cut():
    X, y, _ = split("binary")
    model = MLPClassifier(**SMALL, max_time=1e-6).partial_fit(X, y, classes=[0, 1])
    assert model.t_ == len(y) and model.stop_reason_ is None


def test_a_chunk_without_weight():
    X, y, _ = split("binary")
    model = MLPClassifier(**SMALL, class_weight={0: 0, 1: 1}).partial_fit(X, y, classes=[0, 1])
    before = model.coefs_[0].copy()
    model.partial_fit(X[y == 0], y[y == 0])
    assert_array_equal(model.coefs_[0], before)


def test_all_weight_is_on_one_side_of_the_split():
    """An error either way, which says on which."""
    X, y, _ = split("binary")
    model = MLPClassifier(**SMALL, early_stopping=True, max_iter=1)
    messages = []
    for i in range(len(y)):
        weight = np.zeros(len(y))
        weight[i] = 1
        with pytest.raises(ValueError, match="must contain at least one non-zero number") as caught:
            model.fit(X, y, weight)
        messages.append(str(caught.value))
    assert sum("with weight are among those set aside" in message for message in messages) == 10
    assert sum("that are set aside for validation have" in message for message in messages) == 90


def test_class_weights_leave_none_to_train_on():
    """All samples of the one class that has a weight are set aside."""
    X, _, _ = split("multiclass")
    y = np.zeros(len(X), dtype=int)
    y[1:] = 1 + np.arange(len(X) - 1) % 2
    model = MLPClassifier(**SMALL, early_stopping=True, validation_fraction=0.9, max_iter=1)
    model.set_params(class_weight={0: 1.0, 1: 0.0, 2: 0.0}, random_state=3)
    with pytest.raises(ValueError, match="with weight are among those set aside"):
        model.fit(X, y)


OPTIMIZERS = {
    "adam": dict(solver="adam"),
    "constant": dict(solver="sgd"),
    "invscaling": dict(solver="sgd", learning_rate="invscaling"),
    "adaptive": dict(solver="sgd", learning_rate="adaptive"),
}
CHANGES = [
    dict(solver="adam"), dict(solver="sgd"), dict(learning_rate="constant"),
    dict(learning_rate="invscaling"), dict(learning_rate="adaptive"), dict(power_t=0.9),
    dict(learning_rate_init=0.01), dict(momentum=0.5), dict(nesterovs_momentum=False),
    dict(beta_1=0.5), dict(beta_2=0.9), dict(epsilon=0.01), dict(alpha=1.0), dict(batch_size=50),
    dict(shuffle=False), dict(tol=0.1), dict(n_iter_no_change=2),
    dict(solver="sgd", learning_rate="invscaling", nesterovs_momentum=False, momentum=0.3),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(change))
@pytest.mark.parametrize("first", OPTIMIZERS)
def test_partial_fit_goes_on_with_its_optimizer_as_in_scikit_learn(first, change):
    """Whatever has become of the parameters that it was made by: also with another solver."""
    X, y, _ = split("binary")
    ours = MLPClassifier(**SMALL, **OPTIMIZERS[first])
    theirs = neural_network.MLPClassifier(**SMALL, **OPTIMIZERS[first])
    for model in (ours, theirs):
        for _ in range(2):
            model.partial_fit(X, y, classes=[0, 1])
        model.set_params(**change)
        for _ in range(3):
            model.partial_fit(X, y)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    for name in vars(theirs._optimizer).keys() - {"ms", "vs", "velocities"}:
        value = getattr(ours._optimizer, name)
        assert value == pytest.approx(getattr(theirs._optimizer, name)), name


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_an_optimizer_outlives_lbfgs_as_in_scikit_learn(solver):
    X, y, _ = split("regression")
    ours = MLPRegressor(**SMALL, solver=solver, max_iter=3)
    theirs = neural_network.MLPRegressor(**SMALL, solver=solver, max_iter=3)
    for model in (ours, theirs):
        model.fit(X, y).set_params(solver="lbfgs").fit(X, y)
        model.set_params(solver=solver).partial_fit(X, y)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)


def test_another_solver_that_has_no_effect_is_told_of():
    X, y, _ = split("binary")
    model = MLPClassifier(**SMALL).partial_fit(X, y, classes=[0, 1])
    with pytest.warns(AdviceWarning, match="solver='sgd' has no effect: .* it has, 'adam'"):
        model.set_params(solver="sgd").partial_fit(X, y)
