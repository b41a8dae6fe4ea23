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


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule of stochastic gradient descent.

    Parameters
    ----------
    kind : {"constant", "invscaling", "adaptive"}
        "invscaling" sets the rate to ``rate / (t + 1) ** power_t`` at the end of an
        epoch, t being the samples seen so far; "adaptive" divides it by 5 when
        the epochs stop improving, until it is at most 1e-6.
    rate : float
        The initial rate.
    power_t : float
        The exponent of "invscaling".
    """

    kind: str
    rate: float
    power_t: float

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
        if optimizer.learning_rate <= MIN_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        optimizer.learning_rate /= 5.0
        return False, f"Setting learning rate to {optimizer.learning_rate:f}"


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
    losses, scores : list of float
        Training losses and validation scores of this run's epochs.
    """

    t: int = 0
    no_improvement_count: int = 0
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_params: np.ndarray | None = None
    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)

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
    schedule: Schedule
    progress: Progress
    score: Callable | None = None
    tol: float = 1e-4
    n_iter_no_change: float = 10
    shuffle: bool = True
    verbose: bool = False

    def run(self, max_epochs, random_state):
        """Train for at most ``max_epochs``.

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
        if self.score is not None and self.progress.scores:
            self.params[:] = self.progress.best_params
        return outcome

    def _run_epochs(self, max_epochs, random_state):
        trainer = self.make_trainer()
        order = self.rows
        for epoch in range(1, max_epochs + 1):
            if self.shuffle:
                # The draw of sklearn.utils.shuffle, applied to the last order.
                order = order[random_state.permutation(len(order))]
            loss = float(trainer.train_epoch(order))
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
        progress.t += len(self.rows)
        if self.verbose:
            print(f"Iteration {epoch}, loss = {loss:.8f}")
        if self.score is None:
            progress.record_loss(loss, self.tol)
        else:
            score = float(self.score(self.params))
            if self.verbose:
                print(f"Validation score: {score:f}")
            progress.record_score(score, self.tol, self.params)
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
