"""A training watched: how far it has come, when it is to end, its best weights.

`Watch` looks on at a run of either solver kind. Nothing here knows scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fastnn.training.progress import make_report


@dataclass
class Progress:
    """The progress of a training, from which a later fit or partial_fit goes on.

    Parameters
    ----------
    t : int
        Samples seen, over all fits.
    no_improvement_count : int
        Epochs in a row that did not improve by ``tol``.
    best_loss : float
        The lowest training loss of an epoch.
    best_score : float or None
        The highest validation score; -inf where there was none. None where the network that the
        run goes on with is to set the mark.
    best_params : ndarray of shape (n_params,) or None
        The parameters that the run is to improve on, later those of its best score. None where the
        run ends with its last parameters unless one of its epochs beats ``best_score``.
    best_epoch : int or None
        The epoch after which they did, counted from 1 as in the curves; None before the first.
    losses, scores, validation_losses, rates : list of float
        Training losses, validation scores and losses, and last learning rates of this run's epochs.
    epoch : int
        Epochs done towards the end of the schedule.
    n_before : int
        Epochs that the curves have from earlier runs.
    criterion : object
        What decides whether an epoch improves.
    """

    t: int = 0
    no_improvement_count: int = 0
    best_loss: float = np.inf
    best_score: float | None = -np.inf
    best_params: np.ndarray | None = None
    best_epoch: int | None = None
    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    validation_losses: list = field(default_factory=list)
    rates: list = field(default_factory=list)
    epoch: int = 0
    n_before: int = 0
    criterion: Any = None

    def record_loss(self, loss, tol):
        """Take an epoch's training loss; whether it counts as an improvement by ``tol``.

        A NaN does count, as in scikit-learn, where it is compared the other way round.
        """
        better = not loss > self.best_loss - tol
        if loss < self.best_loss:
            self.best_loss = loss
        return better

    def record_score(self, score, tol, params):
        """Take an epoch's validation score; whether it counts as an improvement by ``tol``.

        A NaN does count, as in scikit-learn, but is never the best.
        """
        self.scores.append(score)
        better = not score < self.best_score + tol
        if score > self.best_score:
            self.best_score = score
            self.best_params = params.copy()
            self.best_epoch = self.n_before + len(self.losses)
        return better

    def record_start(self, score):
        """Take the score of the fitted network that the run goes on with, as a mark to beat.

        It may have been trained by another score, or without one.
        """
        self.best_score = -np.inf if np.isnan(score) else score
        if self.best_epoch is None and self.n_before > 0:
            self.best_epoch = self.n_before


class TimeUp(Exception):
    """The time that a training may take is over."""


class NoCallbacks:
    """The callbacks of a fit that has none."""

    # Whether they look at the state of the training.
    see_state = False

    def begin(self, attributes):
        """The fit begins; ``attributes(params)`` are the fitted ones with these parameters."""

    def end(self):
        """The fit has ended."""

    def begin_epoch(self):
        """An epoch begins."""

    def end_epoch(self, params):
        """An epoch has ended, at these parameters if they are sound; whether training is to."""
        return False


@dataclass
class Watch:
    """Records the epochs of a run and says when it is to end.

    Parameters
    ----------
    progress : Progress
    max_epochs : int
    n_samples : int
        Rows that are trained on.
    tol, n_iter_no_change, verbose, max_time
        As in the estimators.
    evaluate : callable or None
        ``evaluate(params)`` returns the validation score, and the validation loss.
    early_stopping : bool
        Whether the validation score, not the training loss, ends training.
    score_name : str
        What the validation score is called in messages.
    unit : str
        "epoch" or "iteration".
    name : str
        What the fit is called in its progress line, where there are others.
    patience : bool
        Whether training ends where it does not improve. Not so with L-BFGS by its training loss,
        which has a criterion of its own.
    keeps_start : bool
        Whether a run none of whose scores is a number ends with the parameters that it was to
        improve on, as scikit-learn's does, and not with its last.
    callbacks : object with begin_epoch() and end_epoch(params)
    started : float
        When the fit began, by `time.perf_counter`.

    Attributes
    ----------
    reason : str or None
        Why the run ended.
    """

    progress: Progress
    max_epochs: int
    n_samples: int
    tol: float = 1e-4
    n_iter_no_change: float = 10
    verbose: int | str = 0
    max_time: float | None = None
    evaluate: Callable | None = None
    early_stopping: bool = False
    score_name: str = "Validation score"
    unit: str = "epoch"
    name: str = ""
    patience: bool = True
    keeps_start: bool = False
    callbacks: Any = field(default_factory=NoCallbacks)
    started: float = field(default_factory=perf_counter)
    reason: str | None = None

    def __post_init__(self):
        self.deadline = None if self.max_time is None else self.started + self.max_time
        self.report = make_report(
            self.verbose,
            max_epochs=self.max_epochs,
            n_samples=self.n_samples,
            max_time=self.max_time,
            name=self.name,
        )

    @property
    def judged(self):
        """The figure that decides whether an epoch improved, in words."""
        return self.score_name if self.early_stopping else "Training loss"

    @property
    def is_out_of_patience(self):
        return self.patience and self.progress.no_improvement_count > self.n_iter_no_change

    @property
    def is_time_up(self):
        return self.deadline is not None and perf_counter() >= self.deadline

    def prepare(self, make):
        """Make what the run trains with; what that takes, as it may compile, is not of its time."""
        begin = perf_counter()
        made = make()
        if self.deadline is not None:
            self.deadline += perf_counter() - begin
        self.report.ready()
        return made

    def begin(self, params):
        """A run begins at these parameters."""
        progress = self.progress
        self.report.begin()
        if self.evaluate is not None and progress.best_score is None:
            start = params if progress.best_params is None else progress.best_params
            progress.record_start(self.evaluate(start)[0])

    def end_epoch(self, loss, params, rate=None, n_samples=0):
        """Record an epoch: its training loss, and how its parameters do in validation."""
        progress = self.progress
        # As in scikit-learn, a loss is a NumPy scalar, with the methods of one.
        loss = np.float64(loss)
        progress.losses.append(loss)
        progress.rates.append(rate)
        progress.epoch += 1
        progress.t += n_samples
        score = None
        try:
            if self.evaluate is not None:
                score, validation_loss = self.evaluate(params)
        except BaseException:
            # The epoch does not count, as if it had been interrupted itself.
            progress.losses.pop()
            progress.rates.pop()
            progress.epoch -= 1
            progress.t -= n_samples
            raise
        better = progress.record_loss(loss, self.tol)
        if self.evaluate is not None:
            progress.validation_losses.append(validation_loss)
            better_score = progress.record_score(score, self.tol, params)
            better = better_score if self.early_stopping else better
        progress.no_improvement_count = 0 if better else progress.no_improvement_count + 1
        self.report.epoch(len(progress.losses), loss, score)

    @property
    def last_figures(self):
        """Training loss and validation loss of the last epoch, so far as there are."""
        progress = self.progress
        return [*progress.losses[-1:], *progress.validation_losses[-1:]]

    @property
    def is_undefined(self):
        """Whether there were scores, but none that a best one could be chosen by."""
        return self.progress.best_score == -np.inf and len(self.progress.scores) > 0

    def end(self, params):
        """The parameters of the run's result: the best, where validation has chosen some."""
        self.report.end()
        best = self.progress.best_params
        if self.evaluate is None or best is None:
            return params
        if self.is_undefined and not self.keeps_start and np.isfinite(params).all():
            return params
        return best

    def no_improvement(self):
        """The message that no epoch was better."""
        return (
            f"{self.judged} did not improve more than tol={self.tol:f} for "
            f"{self.n_iter_no_change} consecutive {self.unit}s."
        )

    def stop(self, outcome, reason=None):
        """Note why the run ends; returns the outcome, by which the estimator warns."""
        words = {
            "interrupted": "Interrupted by the user.",
            "max_iter": f"Reached max_iter={self.max_epochs}.",
            "max_time": f"Reached max_time={self.max_time} seconds.",
            "callback": "A callback asked to stop.",
            "diverged": f"Diverged in {self.unit} {len(self.progress.losses)}: the weights "
            "became non-finite.",
        }
        self.reason = words[outcome] if reason is None else reason
        return outcome
