"""Epochs, shuffling, learning-rate schedules and stopping; and L-BFGS.

What is trained on, and on which device, is behind the Backend's `Trainer` and
objective: nothing here touches a mini-batch. Nothing here knows scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize

MIN_ADAPTIVE_RATE = 1e-6
# Smith and Topin's one-cycle policy with PyTorch's defaults: the part of the training in which the
# rate rises, and by what it is divided at the beginning and, from there, in the end.
RISING, FIRST_DIVISOR, LAST_DIVISOR = 0.3, 25.0, 1e4
# Of cos(x) = sum of (-1)**i x**(2 i) / (2 i)!, enough for x up to pi / 2 in float64.
COSINE_TERMS = 14


def fall(progress):
    """From 1 to 0 along half a cosine, (1 + cos(pi progress)) / 2.

    By sums and products alone, as the libraries' cosines differ between machines.
    """
    # The square of cos(x) with x = pi progress / 2.
    square = (np.pi / 2 * np.asarray(progress)) ** 2
    value = np.zeros_like(square)
    for i in range(COSINE_TERMS, 0, -1):
        value = -square / ((2 * i - 1) * (2 * i)) * (1.0 + value)
    return (1.0 + value) ** 2


def one_cycle(progress):
    """The factor of the one-cycle policy, of the highest rate."""
    first = 1.0 / FIRST_DIVISOR
    last = first / LAST_DIVISOR
    rising = 1.0 + (first - 1.0) * fall(np.minimum(progress / RISING, 1.0))
    falling = last + (1.0 - last) * fall(np.maximum(progress - RISING, 0.0) / (1.0 - RISING))
    return np.where(progress < RISING, rising, falling)


# Schedules that set the rate of every step: factors of the initial rate, of progress in [0, 1].
STEP_SCHEDULES = {"cosine": fall, "one_cycle": one_cycle}
EPOCH_SCHEDULES = ("constant", "invscaling", "adaptive")


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule.

    Parameters
    ----------
    kind : str or callable
        "constant"; "invscaling", which sets the rate to ``rate / (t + 1) ** power_t`` at
        the end of an epoch, t being the samples seen so far; "adaptive", which divides it by 5
        when the epochs stop improving, until it is at most 1e-6; a key of ``STEP_SCHEDULES``;
        or a function of progress in [0, 1] that returns a factor of ``rate``.
    rate : float
        The initial rate.
    power_t : float
        The exponent of "invscaling".
    max_epochs : int
        The epochs in which progress goes from 0 to 1.
    warmup_fraction : float
        The part of these in which the rate rises from 0; the schedule has the rest.
    """

    kind: str | Callable
    rate: float
    power_t: float = 0.5
    max_epochs: int = 200
    warmup_fraction: float = 0.0

    def rates(self, optimizer, epoch, n_batches):
        """Rates of the mini-batches of an epoch, counted from 0; None if all are the optimizer's.

        Raises
        ------
        ValueError
            If the user's function returns anything but a finite number that is not negative.
        """
        if self.kind in EPOCH_SCHEDULES and self.warmup_fraction == 0:
            return None
        steps = self.max_epochs * n_batches
        progress = np.minimum((epoch * n_batches + np.arange(n_batches)) / steps, 1.0)
        rest = np.maximum(progress - self.warmup_fraction, 0.0) / (1.0 - self.warmup_fraction)
        factors = self._factors(rest)
        if self.warmup_fraction > 0:
            # Its first step has a rate already.
            rising = np.minimum((progress + 1.0 / steps) / self.warmup_fraction, 1.0)
            factors = np.where(progress < self.warmup_fraction, rising * factors, factors)
        return optimizer.rate * factors

    def _factors(self, progress):
        if self.kind in EPOCH_SCHEDULES:
            return np.ones_like(progress)
        if not callable(self.kind):
            return STEP_SCHEDULES[self.kind](progress)
        factors = np.array([self.kind(value) for value in progress.tolist()], dtype=np.float64)
        if not np.all((factors >= 0) & (factors < np.inf)):
            wrong = ~((factors >= 0) & (factors < np.inf))
            raise ValueError(
                "learning_rate must return a factor that is finite and >= 0, got "
                f"{factors[wrong][0]} at progress {progress[wrong][0]:g}."
            )
        return factors

    def end_epoch(self, optimizer, t):
        """Set the rate of the next epoch; t is the number of samples seen."""
        if self.kind == "invscaling":
            optimizer.learning_rate = self.rate / (t + 1) ** self.power_t

    def end_plateau(self, optimizer):
        """React to epochs without improvement.

        Returns
        -------
        stop : bool
        message : str
        """
        if self.kind != "adaptive":
            return True, "Stopping."
        if optimizer.rate <= MIN_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        optimizer.learning_rate = optimizer.rate / 5.0
        return False, f"Setting learning rate to {optimizer.rate:f}"


@dataclass
class Progress:
    """How far a training has come. A later fit or partial_fit goes on from here.

    Parameters
    ----------
    t : int
        Samples seen, over all fits.
    no_improvement_count : int
        Epochs in a row that did not improve by ``tol``.
    best_loss : float
        The lowest training loss of an epoch.
    best_score : float
        The highest validation score; -inf where there was none.
    best_params : ndarray of shape (n_params,) or None
        The parameters that had it.
    losses, scores, rates : list of float
        Training losses, validation scores and last learning rates of this run's epochs.
    epoch : int
        Epochs done towards the end of the schedule.
    """

    t: int = 0
    no_improvement_count: int = 0
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_params: np.ndarray | None = None
    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    rates: list = field(default_factory=list)
    epoch: int = 0

    def record_loss(self, loss, tol):
        """Judge an epoch by its training loss. A NaN improves on nothing."""
        better = loss <= self.best_loss - tol
        self.no_improvement_count = 0 if better else self.no_improvement_count + 1
        if loss < self.best_loss:
            self.best_loss = loss

    def record_score(self, score, tol, params):
        """Judge an epoch by its validation score. A NaN improves on nothing."""
        self.scores.append(score)
        better = score >= self.best_score + tol
        self.no_improvement_count = 0 if better else self.no_improvement_count + 1
        if score > self.best_score:
            self.best_score = score
            self.best_params = params.copy()


@dataclass
class StochasticFit:
    """Training by mini-batches until it converges, diverges or is interrupted.

    Parameters
    ----------
    make_trainer : callable
        Returns a Backend's Trainer bound to ``params`` and ``optimizer``. It may take
        long, as it may compile; so it is called where Ctrl-C is caught.
    params : ndarray of shape (n_params,)
    optimizer : Optimizer
    rows : ndarray of int64
        The rows to train on.
    batch_size : int
    schedule : Schedule
    progress : Progress
    score : callable or None
        ``score(params)``, the validation score, where it decides the stopping.
    tol, n_iter_no_change, shuffle, verbose
        As in the estimators.
    """

    make_trainer: Callable
    params: np.ndarray
    optimizer: Any
    rows: np.ndarray
    batch_size: int
    schedule: Schedule
    progress: Progress
    score: Callable | None = None
    tol: float = 1e-4
    n_iter_no_change: float = 10
    shuffle: bool = True
    verbose: bool = False

    def run(self, max_epochs, random_state):
        """Train for at most ``max_epochs``; in the end ``params`` are the average, if there is one.

        With a validation score, ``params`` are in the end those of the best score;
        if every score was NaN, those that the training began with; if it was
        interrupted before the first score, those it had come to.

        Returns
        -------
        outcome : {"converged", "diverged", "interrupted", "max_iter"}
        """
        if self.score is not None and self.progress.best_params is None:
            self.progress.best_params = self.params.copy()
        try:
            outcome = self._run_epochs(max_epochs, random_state)
        except KeyboardInterrupt:
            outcome = "interrupted"
        self.optimizer.raw = None
        if self.optimizer.average is not None:
            self.optimizer.raw = self.params.copy()
            self.params[:] = self._result()
        if self.score is not None and self.progress.scores:
            self.params[:] = self.progress.best_params
        return outcome

    def _result(self):
        """The parameters, or the average of those of all steps where there is one."""
        return self.optimizer.average if self.optimizer.has_averaged else self.params

    def _run_epochs(self, max_epochs, random_state):
        trainer = self.make_trainer()
        order = self.rows
        n_batches = -(-len(order) // self.batch_size)
        for epoch in range(1, max_epochs + 1):
            if self.shuffle:
                # The draw of sklearn.utils.shuffle, applied to the last order.
                order = order[random_state.permutation(len(order))]
            rates = self.schedule.rates(self.optimizer, self.progress.epoch, n_batches)
            loss = float(trainer.train_epoch(order, rates))
            self._end_epoch(epoch, loss)
            if not np.isfinite(loss) and not np.isfinite(self.params).all():
                return "diverged"
            if self.progress.no_improvement_count > self.n_iter_no_change:
                if self._end_plateau():
                    return "converged"
                self.progress.no_improvement_count = 0
        return "max_iter"

    def _end_epoch(self, epoch, loss):
        progress = self.progress
        progress.losses.append(loss)
        progress.rates.append(self.optimizer.step_rate)
        progress.epoch += 1
        progress.t += len(self.rows)
        if self.verbose:
            print(f"Iteration {epoch}, loss = {loss:.8f}")
        if self.score is None:
            progress.record_loss(loss, self.tol)
        else:
            params = self._result()
            score = float(self.score(params))
            if self.verbose:
                print(f"Validation score: {score:f}")
            progress.record_score(score, self.tol, params)
        self.schedule.end_epoch(self.optimizer, progress.t)

    def _end_plateau(self):
        stop, message = self.schedule.end_plateau(self.optimizer)
        if self.verbose:
            judged = "Training loss" if self.score is None else "Validation score"
            print(
                f"{judged} did not improve more than tol={self.tol:f} for "
                f"{self.n_iter_no_change} consecutive epochs. {message}"
            )
        return stop


@dataclass
class LBFGSResult:
    """Where L-BFGS ended: ``status`` and ``message`` are SciPy's, 0 is convergence."""

    params: np.ndarray
    loss: float
    n_iter: int
    status: int
    message: str
    interrupted: bool = False


def minimize_lbfgs(make_objective, params, *, tol, max_iter, max_fun, verbose=False):
    """Minimise a function of ``params`` by L-BFGS.

    Interrupted by Ctrl-C, it returns the end of the last whole iteration.

    Parameters
    ----------
    make_objective : callable
        Returns the callable ``objective(params) -> (loss, gradient)``.
    params : ndarray of shape (n_params,), float64
    tol : float
        It ends when no component of the gradient exceeds this.
    max_iter, max_fun : int
        The most iterations, and evaluations of the objective.
    verbose : bool

    Returns
    -------
    LBFGSResult
    """
    last = LBFGSResult(params.copy(), np.nan, 0, 1, "Interrupted by user.", interrupted=True)

    def end_iteration(intermediate_result):
        last.params = intermediate_result.x.copy()
        last.loss = float(intermediate_result.fun)
        last.n_iter += 1
        if verbose:
            print(f"Iteration {last.n_iter}, loss = {last.loss:.8f}")

    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    try:
        result = minimize(
            make_objective(),
            params,
            method="L-BFGS-B",
            jac=True,
            options=options,
            callback=end_iteration,
        )
    except KeyboardInterrupt:
        return last
    n_iter = min(int(result.nit), max_iter)
    return LBFGSResult(result.x, float(result.fun), n_iter, result.status, str(result.message))
