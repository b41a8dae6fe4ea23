"""The validation set of a fit: where it comes from, and how a network does on it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastnn.estimators.advice import warn_other_scale, warn_other_target_scale
from fastnn.estimators.checks import (
    NO_WEIGHT,
    check_held_out_data,
    check_representable,
    check_sample_weight,
)
from fastnn.network.data import Data

# A criterion decides whether an epoch improves on those before it. It is a kind and the scoring;
# these are the two that scikit-learn has.
BY_TRAINING_LOSS = ("training loss", None)
BY_SPLIT_OFF_ROWS = ("rows split off", None)


class Given(NamedTuple):
    """The data that the user gave to ``fit`` or ``partial_fit``."""

    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None

    @property
    def has_validation(self):
        """Whether the user gave a validation set; ValueError if a part of one."""
        for name, other in (("X_val", "y_val"), ("y_val", "X_val")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise ValueError(f"{name} is provided, but {other} was not provided.")
        if self.X_val is None and self.sample_weight_val is not None:
            raise ValueError(
                "sample_weight_val is provided, but X_val and y_val were not provided."
            )
        return self.X_val is not None


@dataclass
class ValidationSet:
    """Rows that are not trained on.

    Parameters
    ----------
    data : Data
        With the weights that the loss has.
    labels : array-like or CSR matrix of shape (n_rows, ...)
        y as the user gave it, validated.
    score_weight : ndarray of shape (n_rows,) or None
        The weights that the user gave.
    rows : ndarray of int64 or None
        The validation's rows of ``data``, all if None; the others are per row already.

    Attributes
    ----------
    y : ndarray of shape (n_rows, n_targets)
        The targets of its rows.
    loss_weight : ndarray of shape (n_rows,) or None
        The weights that they have in the loss.
    """

    data: Data
    labels: Any
    score_weight: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __post_init__(self):
        rows = slice(None) if self.rows is None else self.rows
        self.y = self.data.y[rows]
        weight = self.data.sample_weight
        self.loss_weight = None if weight is None else _scaled(weight[rows])

    @property
    def is_split_off(self):
        """Whether the rows are some of the training data's, anew in each fit."""
        return self.rows is not None

    @property
    def X(self):
        """The features of its rows: a copy of them where others are between."""
        return self.data.X if self.rows is None else self.data.X[self.rows]


class Evaluation:
    """Scores and losses of the networks of a fit's epochs on its validation set.

    Parameters
    ----------
    network : Network
    validation : ValidationSet
    make : callable
        ``make(network, data, dtype=, rows=)`` is a Backend's evaluation. It is made when it is
        first needed, as it may compile.
    score : callable
        ``score(params, outputs, loss)`` of outputs that are numbers.
    takes_any : bool
        Whether outputs that are not numbers have a score, too.
    """

    def __init__(self, network, validation, make, score, *, takes_any=False):
        self.network, self.validation = network, validation
        self.make, self.score, self.takes_any = make, score, takes_any
        self.evaluation = None

    def __call__(self, params):
        """Score and loss of the network with these parameters; NaN where undefined."""
        network, folded = self.network.folded(params)
        if self.evaluation is None:
            data, rows = self.validation.data, self.validation.rows
            self.evaluation = self.make(network, data, dtype=params.dtype, rows=rows)
        outputs, losses = self.evaluation(folded)
        loss = _mean(losses, self.validation.loss_weight)
        if not self.takes_any and not np.isfinite(outputs).all():
            return np.nan, loss
        return self.score(params, outputs, loss), loss


def evaluation_of(model, network, validation, snapshot):
    """The `Evaluation` of a fit's epochs, as the parameters of the model ask for.

    Parameters
    ----------
    model : estimator
        The one that is being fitted.
    network : Network
    validation : ValidationSet
    snapshot : callable
        ``snapshot(params, named=)`` is the model as if training had ended with these parameters.
    """
    is_default = model.scoring is None and not model._scores_itself

    def by_outputs(params, outputs, loss):
        with np.errstate(over="ignore"):
            return model._score_outputs(validation.y, outputs, validation.score_weight)

    if model.scoring == "loss":
        score = _by_loss
    elif is_default:
        score = by_outputs
    elif model.scoring is None:
        score = _by_subclass(model, validation, snapshot)
    else:
        score = _by_scorer(model, validation, snapshot)
    # The labels of scikit-learn's networks have a score, whatever they are made of.
    takes_any = validation.is_split_off and is_default and not model._y_numeric
    return Evaluation(network, validation, model._backend().evaluation, score, takes_any=takes_any)


def _by_loss(params, outputs, loss):
    return -loss


def _by_subclass(model, validation, snapshot):
    """The score by a user's ``_score``, which may note something in attributes."""
    X, weight = validation.X, _as_keyword(validation.score_weight)

    def score(params, outputs, loss):
        moment = snapshot(params)
        before = vars(moment).copy()
        result = float(moment._score(X, validation.labels, **weight))
        for name, value in vars(moment).items():
            if value is not before.get(name):
                setattr(model, name, value)
        return result

    return score


def _by_scorer(model, validation, snapshot):
    scorer = check_scoring(model, model.scoring)
    X, weight = validation.X, _as_keyword(validation.score_weight)

    def score(params, outputs, loss):
        try:
            return float(scorer(snapshot(params, named=False), X, validation.labels, **weight))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"scoring={model.scoring!r} failed on the validation set: {error}. Use another "
                "scorer, or make one for these classes with sklearn.metrics.make_scorer."
            ) from error

    return score


def _as_keyword(weight):
    return {} if weight is None else {"sample_weight": weight}


def _checked(model, validation):
    """The validation set; ValueError if no sample has a weight in what a network is judged by."""
    if validation.score_weight is not None and not validation.score_weight.any():
        raise ValueError(
            f"{NO_WEIGHT} All samples that are set aside for validation have weight zero. Give "
            "more samples weight, or a validation set of your own (X_val and y_val)."
        )
    weight = validation.loss_weight
    if model.scoring != "loss" or weight is None or weight.any():
        return validation
    raise ValueError(
        f"{NO_WEIGHT} class_weight={model.class_weight!r} makes those of the validation "
        "set all zero, which scoring='loss' is to judge by. Give it samples of other classes, "
        "or another scoring."
    )


def criterion_of(model, validation):
    """The criterion by which an epoch of a fit improves, given its `ValidationSet` or None."""
    if validation is None or not model.early_stopping:
        return BY_TRAINING_LOSS
    return (BY_SPLIT_OFF_ROWS[0] if validation.is_split_off else "rows given"), model.scoring


def _scaled(weights):
    """The weights by a power of two, which changes no mean, so that their sum is a number."""
    _, exponent = np.frexp(weights.max())
    return np.ldexp(weights, -exponent)


def _mean(losses, weights):
    with np.errstate(over="ignore", invalid="ignore"):
        if weights is None:
            return float(losses.mean())
        total = weights.sum(dtype=np.float64)
        return float((losses * weights).sum() / total) if total > 0 else np.nan


def given_validation(model, given, train, dtype, loss_weights):
    """The `ValidationSet` that the user gave; ``train`` is the `Data` that is trained on.

    ``loss_weights(encoded, weight)`` puts class weights to those of the samples.
    """
    try:
        X, labels = check_held_out_data(model, given.X_val, given.y_val, y_numeric=model._y_numeric)
        weight = check_sample_weight(
            given.sample_weight_val, X.shape[0], "sample_weight_val", ensure_non_negative=True
        )
        encoded = model._encode_held_out(labels)
        if encoded.shape[1] != train.y.shape[1]:
            raise ValueError(
                f"y_val has {encoded.shape[1]} outputs, but y has {train.y.shape[1]}. "
                "Give y_val the columns of y."
            )
        check_representable(X, dtype, "X_val")
        check_representable(encoded, dtype, "y_val")
    except (TypeError, ValueError) as error:
        # Most checks are those of X and y, and speak of these.
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"The validation set (X_val, y_val) is not valid: {error}") from error
    warn_other_scale(train.X, X)
    if encoded.dtype.kind == "f":
        warn_other_target_scale(train.y, encoded)
    data = Data(X, encoded, loss_weights(encoded, weight))
    return _checked(model, ValidationSet(data, labels, weight))


def split_off(model, data, labels, sample_weight, random_state):
    """Row numbers to train on, and the `ValidationSet` of the others."""
    rows = np.arange(data.X.shape[0], dtype=np.int64)
    split = {"random_state": random_state, "test_size": model.validation_fraction}
    strata = model._stratification(data.y)
    try:
        train, held_out = train_test_split(rows, stratify=strata, **split)
    except ValueError:
        if strata is None:
            raise
        # Once more, for a message that names the classes as scikit-learn does.
        train_test_split(rows, stratify=strata.astype(bool).astype(str), **split)
        raise
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    weight = None if sample_weight is None else sample_weight[held_out]
    if data.sample_weight is not None and not data.sample_weight[train].any():
        raise ValueError(
            f"{NO_WEIGHT} All samples with weight are among those set aside for validation. Give "
            "more samples weight, or a validation set of your own."
        )
    labels = labels[held_out] if sparse.issparse(labels) else np.asarray(labels)[held_out]
    return train, _checked(model, ValidationSet(data, labels, weight, held_out))
