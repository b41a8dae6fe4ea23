"""Validation sets of the user's own, scoring, early stopping, best weights, time."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from common import (
    CLASSIFICATION,
    PROBLEMS,
    assert_raises_as_scikit_learn,
    assert_same_model,
    estimator_for,
    left_as_it_was,
    make_problem,
    needs_sklearn,
    sample_weights,
    scikit_learn_twin,
)
from fastnn import MLPClassifier, MLPRegressor
from fastnn.exceptions import AdviceWarning
from reference import loss_of_rows, targets_of
from validation import SMALL, both_kinds_of_solver, split


def scores_by_hand(model, X, X_val, y, y_val, n_epochs):
    """Scores and weights of models that are trained for 1, 2, ... epochs from the same start."""
    models = [
        type(model)(**model.get_params() | {"max_iter": k}).fit(X, y)
        for k in range(1, n_epochs + 1)
    ]
    return [m.score(X_val, y_val) for m in models], models


@pytest.mark.parametrize("problem", PROBLEMS)
def test_scores_are_those_after_each_epoch(problem):
    X, X_val, y, y_val = split(problem)
    model = estimator_for(problem, **SMALL | {"max_iter": 6}).fit(X, y, X_val=X_val, y_val=y_val)
    scores, models = scores_by_hand(model, X, X_val, y, y_val, 6)
    assert_allclose(model.validation_scores_, scores, rtol=1e-12)
    assert model.best_epoch_ == np.argmax(scores) + 1
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert_same_model(model, models[model.best_epoch_ - 1], X)
    assert model.loss_curve_ == models[-1].loss_curve_


@both_kinds_of_solver
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss(problem, solver, weighted):
    """The mean loss without the penalty, by weight, of the best weights; NumPy says the same."""
    X, X_val, y, y_val = split(problem)
    weight = sample_weights(len(X_val)) if weighted else None
    model = estimator_for(problem, solver=solver, scoring="loss", alpha=1.0, **SMALL)
    model.set_params(**({} if solver == "adam" else {"batch_size": "auto"}))
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    network, params = model._fitted_network()
    encoded = targets_of(network, model._encode_held_out(y_val), params.dtype)
    losses = loss_of_rows(network, encoded, model._forward(X_val, link=False))
    best = model.validation_loss_curve_[model.best_epoch_ - 1]
    assert_allclose(best, np.average(losses, weights=weight), rtol=1e-9)
    assert best == min(model.validation_loss_curve_) == -model.best_validation_score_
    assert_array_equal(model.validation_scores_, np.negative(model.validation_loss_curve_))
    assert len(model.validation_scores_) == len(model.loss_curve_) == model.n_iter_


@both_kinds_of_solver
def test_early_stopping_by_a_validation_set(solver):
    X, X_val, y, y_val = split("binary")
    y = np.where(np.random.default_rng(0).random(80) < 0.3, 1 - y, y)  # to overfit
    model = MLPClassifier(
        50,
        solver=solver,
        alpha=0,
        max_iter=500,
        random_state=0,
        early_stopping=True,
        n_iter_no_change=5,
        scoring="loss",
    ).fit(X, y, X_val=X_val, y_val=y_val)
    unit = "iterations" if solver == "lbfgs" else "epochs"
    assert model.stop_reason_ == (
        f"Validation loss did not improve more than tol=0.000100 for 5 consecutive {unit}."
    )
    assert model.n_iter_ < 500
    assert model.best_epoch_ == np.argmin(model.validation_loss_curve_) + 1
    assert_allclose(
        log_loss(y_val, model.predict_proba(X_val)), min(model.validation_loss_curve_), rtol=1e-9
    )
    assert model.best_loss_ is None


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_lbfgs_splits_nothing_off(problem):
    """Without a validation set of the user's it ignores early stopping, as scikit-learn's does."""
    X, y = make_problem(problem, n_samples=120)
    settings = dict(solver="lbfgs", random_state=3, max_iter=40)
    model = estimator_for(problem, **settings, early_stopping=True, scoring="loss")
    with pytest.warns(UserWarning, match="early_stopping=True is only used with .* scoring='loss'"):
        model.fit(X, y)
    plain = estimator_for(problem, **settings).fit(X, y)
    assert_same_model(model, plain, X)
    assert model.loss_curve_ == plain.loss_curve_ and model.best_loss_ == plain.best_loss_
    assert model.validation_scores_ is model.validation_loss_curve_ is model.best_epoch_ is None


def test_without_early_stopping_the_training_loss_decides():
    X, X_val, y, y_val = split("regression")
    params = SMALL | {"max_iter": 400, "tol": 1e-3}
    model = MLPRegressor(**params).fit(X, y, X_val=X_val, y_val=y_val)
    alone = MLPRegressor(**params).fit(X, y)
    assert model.loss_curve_ == alone.loss_curve_ and model.n_iter_ == alone.n_iter_
    assert (
        model.stop_reason_
        == alone.stop_reason_
        == ("Training loss did not improve more than tol=0.001000 for 10 consecutive epochs.")
    )
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.score(X_val, y_val) == pytest.approx(max(model.validation_scores_), rel=1e-12)
    assert alone.validation_scores_ is alone.validation_loss_curve_ is alone.best_epoch_ is None


@pytest.mark.parametrize("kind", ["sparse", "frame", "list", "float32"])
def test_kinds_of_validation_sets(kind):
    X, X_val, y, y_val = split("binary")
    plain = MLPClassifier(**SMALL).fit(X, y, X_val=X_val, y_val=y_val)
    convert = {
        "sparse": sparse.csc_array,
        "frame": lambda a: pd.DataFrame(a, columns=list("abcdefg")),
        "list": lambda a: a.tolist(),
        "float32": lambda a: a.astype(np.float32),
    }[kind]
    given = convert(X) if kind == "frame" else X
    labels = y_val.tolist() if kind == "list" else y_val
    model = MLPClassifier(**SMALL).fit(given, y, X_val=convert(X_val), y_val=labels)
    assert_allclose(model.validation_loss_curve_, plain.validation_loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("problem", CLASSIFICATION)
def test_any_scorer(problem):
    X, X_val, y, y_val = split(problem)
    seen = []

    def scorer(model, X, y):
        seen.append((X, y, model.predict(X)))
        return -len(seen) if len(seen) > 3 else len(seen)

    model = MLPClassifier(**SMALL, scoring=scorer, early_stopping=True, n_iter_no_change=4)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.validation_scores_ == [1, 2, 3, -4, -5, -6, -7, -8]
    assert model.best_epoch_ == 3
    assert_array_equal(seen[2][2], model.predict(X_val))
    assert_array_equal(seen[0][0], X_val)
    assert_array_equal(seen[0][1], y_val)


def test_scorers_by_name_see_labels_and_weights():
    X, X_val, y, y_val = split("regression")
    weight = sample_weights(len(X_val))
    model = MLPRegressor(**SMALL, scoring="neg_mean_absolute_error")
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    expected = mean_absolute_error(y_val, model.predict(X_val), sample_weight=weight)
    assert model.best_validation_score_ == pytest.approx(-expected, rel=1e-12)

    X, X_val, y, y_val = split("multiclass")
    names = np.array(["ape", "bee", "cat", "dog"])
    model = MLPClassifier(**SMALL, scoring="f1_macro", early_stopping=True).fit(X, names[y])
    assert 0 < model.best_validation_score_ <= 1
    custom = make_scorer(lambda y, p: np.mean(y == p))
    model.set_params(scoring=custom).fit(X, names[y], X_val=X_val, y_val=names[y_val])
    assert model.best_validation_score_ == model.score(X_val, names[y_val])


def test_scorer_on_a_frame_warns_of_no_names():
    X, X_val, y, y_val = split("binary")
    X, X_val = (pd.DataFrame(a, columns=list("abcdefg")) for a in (X, X_val))
    model = MLPClassifier(**SMALL | {"max_iter": 300}, scoring="roc_auc", early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, X_val=X_val, y_val=y_val)
    assert list(model.feature_names_in_) == list("abcdefg")


@pytest.mark.parametrize("n_epochs", [1, 4])
def test_weights_of_samples_count_in_the_score(n_epochs):
    X, X_val, y, y_val = split("multiclass")
    weight = np.where(y_val == 0, 1.0, 0.0)
    model = MLPClassifier(**SMALL | {"max_iter": n_epochs})
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    right = model.predict(X_val)[y_val == 0] == 0
    assert model.best_validation_score_ == right.mean()


# ---- in other tools --------------------------------------------------------------------


def test_pipeline_transforms_the_validation_set():
    X, X_val, y, y_val = split("binary")
    shift = 100 * np.arange(7)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(**SMALL, early_stopping=True).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("mlp", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"])
        pipeline.fit(X + shift, y, X_val=X_val + shift, y_val=y_val)
    scaler = StandardScaler().fit(X + shift)
    alone = MLPClassifier(**SMALL, early_stopping=True)
    alone.fit(scaler.transform(X + shift), y, X_val=scaler.transform(X_val + shift), y_val=y_val)
    assert pipeline[-1].validation_scores_ == alone.validation_scores_


def test_grid_search_with_a_validation_set():
    X, X_val, y, y_val = split("multiclass")
    with sklearn.config_context(enable_metadata_routing=True):
        model = Pipeline(
            [("scale", StandardScaler()), ("mlp", MLPClassifier(**SMALL, early_stopping=True))],
            transform_input=["X_val"],
        )
        model[-1].set_fit_request(X_val=True, y_val=True)
        search = GridSearchCV(model, {"mlp__scoring": [None, "loss", "f1_macro"]}, cv=3)
        search.fit(X, y, X_val=X_val, y_val=y_val)
    best = search.best_estimator_
    scaler = StandardScaler().fit(X)
    alone = MLPClassifier(**best[-1].get_params())
    alone.fit(scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val)
    assert best[-1].validation_scores_ == alone.validation_scores_


# ---- bad input -------------------------------------------------------------------------

BAD = {
    "X_val alone": (dict(y_val=None), "X_val is provided, but y_val was not provided"),
    "y_val alone": (dict(X_val=None), "y_val is provided, but X_val was not provided"),
    "weights alone": (
        dict(X_val=None, y_val=None, sample_weight_val=[1.0]),
        "sample_weight_val is provided, but X_val and y_val were not provided",
    ),
    "features": (dict(X_val=np.zeros((40, 3))), "X has 3 features, but MLP.* is expecting 7"),
    "rows": (dict(y_val=np.zeros(5)), r"inconsistent numbers of samples: \[40, 5\]"),
    "NaN": (dict(X_val=np.full((40, 7), np.nan)), "Input X_val contains NaN"),
    "NaN in y": (dict(y_val=np.full(40, np.nan)), r"The validation set \(X_val, y_val\) is not v"),
    "no weight": (
        dict(sample_weight_val=np.zeros(40)),
        r"The validation set \(X_val, y_val\) is n",
    ),
    "weights": (
        dict(sample_weight_val=np.full(40, -1.0)),
        "Negative values in data passed to `sample_weight_val`",
    ),
    "too many weights": (dict(sample_weight_val=np.ones(41)), r"sample_weight_val.shape == \(41,"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("problem", ["binary", "regression"])
def test_bad_validation_sets(problem, name):
    X, X_val, y, y_val = split(problem)
    model = estimator_for(problem, **SMALL).fit(X, y)
    changes, message = BAD[name]
    with left_as_it_was(model, X, y), pytest.raises(ValueError, match=message):
        model.fit(X, y, **{"X_val": X_val, "y_val": y_val} | changes)


def test_bad_validation_targets():
    X, X_val, y, y_val = split("binary")
    with pytest.raises(ValueError, match=r"y_val has labels that y does not have: \[2\]"):
        MLPClassifier().fit(X, y, X_val=X_val, y_val=y_val + 1)
    X, X_val, y, y_val = split("multioutput")
    with pytest.raises(ValueError, match="y_val has 2 outputs, but y has 3"):
        MLPRegressor().fit(X, y, X_val=X_val, y_val=y_val[:, :2])
    with pytest.raises(ValueError, match="of y_val are out of the valid range of the loss"):
        MLPRegressor("gamma").fit(X, abs(y), X_val=X_val, y_val=-abs(y_val))


@needs_sklearn("1.9")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_rows_set_aside_without_weight(problem):
    """An error, as in scikit-learn, and not a network that is not trained."""
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, early_stopping=True).fit(X, y)
    held_out = held_out_rows(model, X, y)
    weight = np.ones(len(y))
    weight[held_out] = 0.0
    theirs = scikit_learn_twin(model)
    with left_as_it_was(model.set_params(early_stopping=False), X, y):
        model.set_params(early_stopping=True)
        assert_raises_as_scikit_learn(
            lambda: model.fit(X, y, weight),
            lambda: theirs.fit(X, y, weight),
            "at least one non-zero number. All samples that are set aside",
        )
        model.set_params(early_stopping=False)
    weight[held_out[0]] = 1.0
    theirs.fit(X, y, weight)
    model.set_params(early_stopping=True).fit(X, y, weight)
    assert_allclose(model.validation_scores_, theirs.validation_scores_)


def held_out_rows(model, X, y):
    """Rows that a fit with early stopping sets aside, by their scores."""
    seen = []

    def scorer(fitted, X_val, y_val):
        seen.append(X_val)
        return 0.0

    type(model)(**model.get_params() | {"scoring": scorer, "max_iter": 1}).fit(X, y)
    return [int(np.flatnonzero((X == row).all(axis=1))[0]) for row in seen[0]]


@pytest.mark.parametrize("own", [False, True])
def test_class_weights_that_leave_the_validation_set_without_any(own):
    X, X_val, y, y_val = split("binary")
    settings = SMALL | dict(class_weight={0: 0.0, 1: 1.0}, early_stopping=True)
    if own:
        given = {"X_val": X_val[y_val == 0], "y_val": y_val[y_val == 0]}
    else:
        # The split is stratified: of one in ten it takes none.
        given, settings["validation_fraction"] = {}, 0.05
        X, y = np.vstack([X, X]), np.r_[np.zeros(156, int), np.ones(4, int)]
    with pytest.raises(ValueError, match=r"class_weight=\{0: 0.0, 1: 1.0\} makes those of the val"):
        MLPClassifier(**settings, scoring="loss").fit(X, y, **given)
    model = MLPClassifier(**settings).fit(X, y, **given)
    assert np.isfinite(model.validation_scores_).all()
    assert np.isnan(model.validation_loss_curve_).all()


@pytest.mark.parametrize("size", [1e-310, 1e308])
def test_weights_of_any_size_make_the_same_validation_loss(size):
    X, X_val, y, y_val = split("regression")
    weight = sample_weights(len(X_val))
    model = MLPRegressor(**SMALL, scoring="loss")
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    expected = model.validation_loss_curve_
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight / weight.max() * size)
    assert_allclose(model.validation_loss_curve_, expected, rtol=1e-9)


def test_scoring_that_fails_leaves_the_model():
    X, X_val, y, y_val = split("binary")
    model = MLPClassifier(**SMALL).fit(X, y)

    def scorer(model, X, y):
        raise RuntimeError("no score today")

    with left_as_it_was(model, X, y), pytest.raises(RuntimeError, match="no score today"):
        model.set_params(scoring=scorer).fit(X, y, X_val=X_val, y_val=y_val)


def test_a_scorer_that_does_not_fit_the_labels():
    X, X_val, y, y_val = split("binary")
    names = np.array(["no", "yes"])
    model = MLPClassifier(**SMALL, scoring="f1")
    with pytest.raises(ValueError, match="scoring='f1' failed on the validation set: pos_label=1"):
        model.fit(X, names[y], X_val=X_val, y_val=names[y_val])


@pytest.mark.parametrize(
    ("params", "held_out", "message"),
    [
        (dict(scoring="loss"), False, "scoring='loss' is only used with early_stopping=True or a"),
        (dict(learning_rate="adaptive"), True, "learning_rate='adaptive' is only used with a solv"),
        (dict(solver="lbfgs", early_stopping=True), False, "early_stopping=True is only used with"),
        (
            dict(validation_fraction=0.3, early_stopping=True),
            True,
            "validation_fraction=0.3 is onl",
        ),
        (dict(solver="lbfgs", n_iter_no_change=3), True, "n_iter_no_change=3 is only used with"),
    ],
)
def test_what_has_no_effect_is_said(params, held_out, message):
    X, X_val, y, y_val = split("binary")
    given = {"X_val": X_val, "y_val": y_val} if held_out else {}
    with pytest.warns(AdviceWarning, match=message):
        MLPClassifier(8, random_state=0, **params).fit(X, y, **given)
