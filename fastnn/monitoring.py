"""The validation set of a fit: where it comes from, and how a network does on it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastnn.advice import warn_other_scale, warn_other_target_scale
from fastnn.network import Data
from fastnn.validation import (
    NO_WEIGHT,
    check_held_out_data,
    check_representable,
    check_sample_weight,
)

# What decides whether an epoch improves on those before it: a kind, and the scoring. These are the
# two that scikit-learn has.
BY_TRAINING_LOSS = ("training loss", None)
BY_SPLIT_OFF_ROWS = ("rows split off", None)


class Given(NamedTuple):
    """What the user gave to ``fit`` or ``partial_fit``."""

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
    model : estimator
        The one that is being fitted.
    network : Network
    data : Data
        With the weights that the loss has.
    labels : array-like or CSR matrix of shape (n_rows, ...)
        y as the user gave it, validated.
    score_weight : ndarray of shape (n_rows,) or None
        The weights that the user gave.
    rows : ndarray of int64 or None
        The validation's rows of ``data``, all if None; the others are per row already.
    """

    model: Any
    network: Any
    data: Data
    labels: Any
    score_weight: np.ndarray | None = None
    rows: np.ndarray | None = None
    # ``snapshot(params, named=False)`` is the model as if training had ended with these parameters.
    snapshot: Any = None

    def __post_init__(self):
        rows = slice(None) if self.rows is None else self.rows
        self.y = self.data.y[rows]
        weight = self.data.sample_weight
        self.loss_weight = None if weight is None else _scaled(weight[rows])
        self._check_weights()
        # Made when it is first needed, as it may compile.
        self.evaluation = None
        self.scorer = None
        self.is_own_scorer = self.model.scoring is None and self.model._scores_itself
        if self.is_own_scorer:
            self.scorer = _score_of
        elif callable(self.model.scoring) or self.model.scoring not in (None, "loss"):
            self.scorer = check_scoring(self.model, self.model.scoring)
        if self.scorer is not None:
            # A copy of the rows only where the user's scorer is to see them.
            self.X = self.data.X if self.rows is None else self.data.X[self.rows]

    def _check_weights(self):
        """Raise ValueError if no sample has a weight in what the network is judged by."""
        if self.score_weight is not None and not self.score_weight.any():
            raise ValueError(
                f"{NO_WEIGHT} All samples that are set aside for validation have weight zero. Give "
                "more samples weight, or a validation set of your own (X_val and y_val)."
            )
        if self.model.scoring != "loss" or self.loss_weight is None or self.loss_weight.any():
            return
        raise ValueError(
            f"{NO_WEIGHT} class_weight={self.model.class_weight!r} makes those of the validation "
            "set all zero, which scoring='loss' is to judge by. Give it samples of other classes, "
            "or another scoring."
        )

    @property
    def is_split_off(self):
        """Whether the rows are some of the training data's, anew in each fit."""
        return self.rows is not None

    @property
    def _scores_all_outputs(self):
        """Whether outputs that are not numbers have a score: the labels of scikit-learn's do."""
        return (
            self.is_split_off
            and not self.model._y_numeric
            and self.model.scoring is None
            and self.scorer is None
        )

    def evaluate(self, params):
        """Score and loss of the network with these parameters; NaN where undefined."""
        network, folded = self.network.folded(params)
        if self.evaluation is None:
            self.evaluation = self.model._backend().evaluation(
                network, self.data, dtype=params.dtype, rows=self.rows
            )
        outputs, losses = self.evaluation(folded)
        loss = _mean(losses, self.loss_weight)
        if not self._scores_all_outputs and not np.isfinite(outputs).all():
            return np.nan, loss
        return self._score(params, outputs, loss), loss

    def _score(self, params, outputs, loss):
        if self.model.scoring == "loss":
            return -loss
        if self.scorer is not None:
            weight = {} if self.score_weight is None else {"sample_weight": self.score_weight}
            model = self.snapshot(params, named=self.is_own_scorer)
            if self.is_own_scorer:
                return self._score_by_subclass(model, weight)
            try:
                return float(self.scorer(model, self.X, self.labels, **weight))
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(
                    f"scoring={self.model.scoring!r} failed on the validation set: {error}. Use "
                    "another scorer, or make one for these classes with "
                    "sklearn.metrics.make_scorer."
                ) from error
        with np.errstate(over="ignore"):
            return self.model._score_outputs(self.y, outputs, self.score_weight)

    def _score_by_subclass(self, model, weight):
        """The score by a user's ``_score``, which may note something in attributes."""
        before = vars(model).copy()
        score = float(self.scorer(model, self.X, self.labels, **weight))
        for name, value in vars(model).items():
            if value is not before.get(name):
                setattr(self.model, name, value)
        return score


def _score_of(model, X, y, **weight):
    return model._score(X, y, **weight)


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


def given_validation(model, network, given, train, dtype, loss_weights):
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
    return ValidationSet(model, network, data, labels, weight)


def split_off(model, network, data, labels, sample_weight, random_state):
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
    return train, ValidationSet(model, network, data, labels, weight, held_out)
