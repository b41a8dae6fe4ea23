"""Trainings with a validation set that go on: the best weights are kept, the last ones trained."""

import pickle

import numpy as np
import pytest

from common import assert_same_model, fitted_attributes, make_problem
from fastnn import MLPClassifier, MLPRegressor
from fastnn.exceptions import AdviceWarning
from validation import SMALL, earlier_is_better, split

# ---- partial_fit -----------------------------------------------------------------------


def test_partial_fit_has_the_best_weights_and_goes_on_from_the_last():
    X, X_val, y, y_val = split("multiclass")
    held_out = {"X_val": X_val, "y_val": y_val}
    plain = MLPClassifier(**SMALL)
    model = MLPClassifier(**SMALL, early_stopping=True, n_iter_no_change=3, tol=1e-3)
    scores, best = [], None
    for call in range(60):
        plain.partial_fit(X, y, classes=range(4))
        model.partial_fit(X, y, classes=range(4), **held_out)
        scores.append(plain.score(X_val, y_val))
        if scores[-1] > max(scores[:-1], default=-1):
            best = pickle.loads(pickle.dumps(plain))
        assert_same_model(model, best, X_val)
        assert model.validation_scores_ == scores
        if model.stop_reason_ is not None:
            break
        model = pickle.loads(pickle.dumps(model)) if call == 2 else model
    assert model.stop_reason_.startswith("Validation score did not improve")
    assert scores.index(max(scores)) + 1 == model.best_epoch_ < len(scores)


def test_partial_fit_after_the_end_changes_nothing():
    X, X_val, y, y_val = split("regression")
    held_out = {"X_val": X_val, "y_val": y_val}
    model = MLPRegressor(**SMALL, early_stopping=True, n_iter_no_change=1, tol=10.0)
    while getattr(model, "stop_reason_", None) is None:
        model.partial_fit(X, y, **held_out)
    assert model.t_ == 3 * 80
    before = fitted_attributes(model)
    with pytest.warns(AdviceWarning, match="Early stopping has ended this training .*Validation"):
        model.partial_fit(X, y, **held_out)
    np.testing.assert_equal(fitted_attributes(model), before)
    model.set_params(early_stopping=False).partial_fit(X, y)
    assert model.t_ == 4 * 80 and model.stop_reason_ is None


def test_changed_weights_are_what_partial_fit_goes_on_from():
    """The user's own changes win over where training was."""
    X, X_val, y, y_val = split("regression")
    model = MLPRegressor(**SMALL, scoring=lambda model, X, y: -model.t_)
    model.partial_fit(X, y, X_val=X_val, y_val=y_val).partial_fit(X, y, X_val=X_val, y_val=y_val)
    assert model.best_epoch_ == 1  # so that the model is not where training was
    model.coefs_[0][...] = 0.0
    model.partial_fit(X, y)
    assert abs(model.coefs_[0]).max() < 0.1


def test_partial_fit_without_a_validation_set():
    X, y = make_problem("regression")
    model = MLPRegressor(early_stopping=True)
    with pytest.raises(
        ValueError, match="partial_fit does not support early_stopping=True without"
    ):
        model.partial_fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_start_has_the_best_weights_and_goes_on_from_the_last(solver, early_stopping):
    """The model goes on as one without a validation set does, whose weights are the last."""
    X, X_val, y, y_val = split("multiclass")
    held_out = {"X_val": X_val, "y_val": y_val}
    settings = SMALL | dict(
        max_iter=2, learning_rate_init=0.03, solver=solver, warm_start=True, n_iter_no_change=np.inf
    )
    plain = MLPClassifier(**settings)
    model = MLPClassifier(**settings, early_stopping=early_stopping)
    best, not_better = None, 0
    for call in range(15):
        plain.fit(X, y)
        model.fit(X, y, **held_out)
        scores = model.validation_scores_
        assert scores[-1] == plain.score(X_val, y_val)
        assert model.loss_curve_ == plain.loss_curve_ and model.n_iter_ == plain.n_iter_
        if scores[-1] > max(scores[:-2], default=-1) and scores[-1] > scores[-2]:
            best = pickle.loads(pickle.dumps(plain))
        if model.best_epoch_ <= len(scores) - 2:
            not_better += 1
            if best is not None and model.best_epoch_ == len(best.loss_curve_):
                assert_same_model(model, best, X_val)
        assert model.score(X_val, y_val) == model.best_validation_score_ == max(scores)
        assert scores.index(max(scores)) + 1 == model.best_epoch_
        model = pickle.loads(pickle.dumps(model)) if call == 2 else model
    assert not_better > 3


def test_what_does_not_go_on_from_the_last_weights():
    """A warm start without an X_val, or from weights that were changed, and partial_fit."""
    X, X_val, y, y_val = split("multiclass")
    held_out = {"X_val": X_val, "y_val": y_val}
    model = MLPClassifier(**SMALL, warm_start=True, scoring=earlier_is_better)
    model.fit(X, y, **held_out).set_params(learning_rate_init=1e-9, max_iter=1, scoring=None)
    assert model.best_epoch_ == 1
    best = model.coefs_[0].copy()
    again = pickle.loads(pickle.dumps(model)).fit(X, y, **held_out)
    last = again._training_state.params[: best.size].reshape(best.shape)
    assert abs(last - best).max() > 0.02
    for method in ("fit", "partial_fit"):
        again = pickle.loads(pickle.dumps(model))
        getattr(again, method)(X, y)
        assert abs(again.coefs_[0] - best).max() < 0.01
    model.coefs_[0][...] = 0.0
    model.fit(X, y, **held_out)
    assert abs(model.coefs_[0]).max() < 1e-6
