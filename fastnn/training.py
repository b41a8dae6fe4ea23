"""Training: a problem and a state go in, a result comes out; by mini-batches or by L-BFGS.

What a step does, and on which device, is behind the Backend's `Trainer` and objective: nothing
here touches a mini-batch. Nothing here knows scikit-learn, or calls anything above but what the
`Watch` was given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy
from scipy.optimize import minimize

from fastnn.network import Data, Network, Regularization
from fastnn.schedules import Schedule
from fastnn.state import TrainingState
from fastnn.stopping import TimeUp, Watch

# Whether L-BFGS-B can print how it gets on, by itself; later versions of SciPy warn of the option.
SCIPY_PRINTS = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)


@dataclass(frozen=True)
class MiniBatches:
    """The method of the stochastic solvers.

    Parameters
    ----------
    batch_size : int
    schedule : Schedule
    regularization : Regularization
    shuffle : bool
        Whether every epoch has the rows in another order.
    random_state : RandomState
        Draws these orders.
    """

    batch_size: int
    schedule: Schedule
    regularization: Regularization
    shuffle: bool
    random_state: np.random.RandomState

    def run(self, problem, state, backend, watch):
        """Train on from the state, in place."""
        fit = StochasticFit(
            lambda: backend.trainer(
                problem.network,
                problem.data,
                state,
                regularization=self.regularization,
                batch_size=self.batch_size,
            ),
            state,
            rows=problem.rows,
            batch_size=self.batch_size,
            schedule=self.schedule,
            watch=watch,
            shuffle=self.shuffle,
        )
        params, outcome = fit.run(self.random_state)
        return Result(params, None if outcome == "diverged" else state, outcome)


@dataclass(frozen=True)
class FullBatches:
    """The method of L-BFGS, all of whose steps see all rows.

    Parameters
    ----------
    alpha : float
        The strength of the L2 penalty.
    gtol, max_fun, prints
        As in `LBFGSFit`.
    """

    alpha: float
    gtol: float
    max_fun: int
    prints: bool

    def run(self, problem, state, backend, watch):
        """Train on from the state's parameters."""
        dtype, everything = state.params.dtype, len(problem.rows) == problem.data.X.shape[0]
        found = LBFGSFit(
            lambda: backend.objective(
                problem.network,
                problem.data,
                alpha=self.alpha,
                dtype=dtype,
                rows=None if everything else problem.rows,
            ),
            state.params.astype(np.float64),
            watch,
            gtol=self.gtol,
            max_fun=self.max_fun,
            dtype=dtype,
            prints=self.prints,
        ).run()
        last = found.params if found.last is None else found.last
        return Result(
            found.params,
            replace(state, params=last),
            found.outcome,
            found.loss,
            found.status,
            found.message,
        )


@dataclass(frozen=True)
class Problem:
    """A network, its data, and the method by which it is to be trained.

    Parameters
    ----------
    network : Network
    data : Data
    rows : ndarray of int64
        The rows of the data to train on; the others are held out.
    method : MiniBatches or FullBatches
    """

    network: Network
    data: Data
    rows: np.ndarray
    method: MiniBatches | FullBatches


@dataclass(frozen=True)
class Result:
    """The result of a training.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The model's: the last, an average, or the best of the validation set.
    state : TrainingState or None
        Where a later training goes on from; None where this one diverged.
    outcome : {"converged", "diverged", "interrupted", "max_iter", "max_time", "callback", "failed"}
        How it ended; only L-BFGS fails.
    loss : float or None
        The loss at which L-BFGS ended.
    status, message
        SciPy's account of that.
    """

    params: np.ndarray
    state: TrainingState | None
    outcome: str
    loss: float | None = None
    status: int = 0
    message: str = ""


def train(problem, state, backend, watch):
    """Train a network.

    Parameters
    ----------
    problem : Problem
    state : TrainingState
        Where training begins. It is changed in place, and belongs to the result.
    backend : Backend
    watch : Watch
        Looks on, and says when to end.

    Returns
    -------
    Result

    Raises
    ------
    KeyboardInterrupt
        If it is interrupted before it has done an epoch, or an iteration.
    """
    return problem.method.run(problem, state, backend, watch)


@dataclass
class StochasticFit:
    """Training by mini-batches until it converges, diverges or is interrupted.

    Parameters
    ----------
    make_trainer : callable
        Returns a Backend's Trainer bound to the state. It may take long, as it may compile; so it
        is called where Ctrl-C is caught.
    state : TrainingState
        Changed in place.
    rows : ndarray of int64
        The rows to train on.
    batch_size : int
    schedule : Schedule
    watch : Watch
    shuffle : bool
    """

    make_trainer: Callable
    state: TrainingState
    rows: np.ndarray
    batch_size: int
    schedule: Schedule
    watch: Watch
    shuffle: bool = True

    def run(self, random_state):
        """Train.

        Returns
        -------
        params : ndarray of shape (n_params,)
            The model's: those that training came to, the average if there is one, or those that
            the watch chooses.
        outcome : {"converged", "diverged", "interrupted", "max_iter", "max_time", "callback"}

        Raises
        ------
        KeyboardInterrupt
            If it is interrupted before it has done an epoch.
        """
        watch = self.watch
        try:
            watch.begin(self.state.params)
            outcome = self._run_epochs(random_state)
        except KeyboardInterrupt:
            if not watch.progress.losses:
                raise
            outcome = watch.stop("interrupted")
        finally:
            params = watch.end(self.state.result)
        return params, outcome

    def _run_epochs(self, random_state):
        watch, order, state = self.watch, self.rows, self.state
        optimizer = state.optimizer
        trainer = watch.prepare(self.make_trainer)
        n_batches = -(-len(order) // self.batch_size)
        for epoch in range(watch.max_epochs):
            watch.callbacks.begin_epoch()
            if self.shuffle:
                # The draw of sklearn.utils.shuffle, applied to the last order.
                order = order[random_state.permutation(len(order))]
            rates = self.schedule.rates(optimizer, watch.progress.epoch, n_batches)
            loss = float(trainer.train_epoch(order, rates, deadline=watch.deadline))
            rate = float(optimizer.step_rate[0])
            watch.end_epoch(loss, state.result, rate, trainer.rows_done)
            self.schedule.end_epoch(optimizer, watch.progress.t)
            if not np.isfinite(loss) and not np.isfinite(state.params).all():
                return watch.stop("diverged")
            # Outputs that overflow are nothing to show.
            is_sound = np.isfinite(watch.last_figures).all()
            stops = watch.callbacks.end_epoch(state.result if is_sound else None)
            if watch.is_out_of_patience:
                if self._end_plateau():
                    return "converged"
                watch.progress.no_improvement_count = 0
            if stops:
                return watch.stop("callback")
            is_cut = trainer.rows_done < len(order) or epoch + 1 < watch.max_epochs
            if watch.is_time_up and is_cut:
                return watch.stop("max_time")
        return watch.stop("max_iter")

    def _end_plateau(self):
        stop, message = self.schedule.end_plateau(self.state.optimizer)
        reason = self.watch.no_improvement()
        self.watch.report.message(f"{reason} {message}")
        if stop:
            self.watch.stop("converged", f"{reason} {message.removesuffix('Stopping.')}".rstrip())
        return stop


@dataclass
class LBFGSResult:
    """Where L-BFGS ended.

    ``outcome`` is one of `StochasticFit.run`'s, or "failed"; ``status`` and ``message`` are
    SciPy's, 0 is convergence. ``last`` is what it came to, where ``params`` are others.
    """

    params: np.ndarray
    loss: float
    outcome: str
    status: int = 1
    message: str = ""
    last: np.ndarray | None = None


class LBFGSFit:
    """L-BFGS under the eyes of a `Watch`.

    Interrupted by Ctrl-C or the time, it has come to the end of the last whole iteration; there
    has to be one.

    Parameters
    ----------
    make_objective : callable
        Returns the callable ``objective(params) -> (loss, gradient)``.
    params : ndarray of shape (n_params,), float64
    watch : Watch
    gtol : float
        It ends when no component of the gradient exceeds this.
    max_fun : int
        The most evaluations of the objective.
    dtype : dtype
        The precision of the parameters in the end, which are validated so.
    prints : bool
        Whether SciPy is to print how it gets on, where it can.
    """

    def __init__(self, make_objective, params, watch, *, gtol, max_fun, dtype, prints=False):
        self.make_objective, self.watch = make_objective, watch
        self.options = {"maxfun": max_fun, "maxiter": watch.max_epochs, "gtol": gtol}
        if prints and SCIPY_PRINTS:
            self.options["iprint"] = 1
        self.dtype = dtype
        self.result = LBFGSResult(params.copy(), np.nan, "max_iter")

    def run(self):
        """Minimise.

        Returns
        -------
        LBFGSResult

        Raises
        ------
        KeyboardInterrupt
            If it is interrupted before it has done an iteration.
        """
        watch, result = self.watch, self.result
        try:
            watch.begin(result.params.astype(self.dtype))
            self._minimize()
        except (KeyboardInterrupt, TimeUp) as error:
            timed = isinstance(error, TimeUp)
            if not timed and not watch.progress.losses:
                raise
            result.outcome = watch.stop("max_time" if timed else "interrupted")
        finally:
            params = watch.end(result.params)
        if params is not result.params:
            result.last = result.params.astype(self.dtype)
        result.params = params.astype(self.dtype)
        return result

    def _minimize(self):
        watch, result = self.watch, self.result
        objective = watch.prepare(self.make_objective)

        def timed_objective(params):
            if watch.is_time_up and watch.progress.losses:
                raise TimeUp
            return objective(params)

        watch.callbacks.begin_epoch()
        found = minimize(
            timed_objective,
            result.params,
            method="L-BFGS-B",
            jac=True,
            options=self.options,
            callback=self._end_iteration,
        )
        if watch.reason is not None:
            return
        result.params, result.loss = found.x, float(found.fun)
        result.status, result.message = found.status, str(found.message)
        result.outcome = "converged" if found.status == 0 else "failed"
        watch.stop(result.outcome, result.message)

    def _end_iteration(self, intermediate_result):
        watch, result = self.watch, self.result
        loss = float(intermediate_result.fun)
        params = intermediate_result.x.astype(self.dtype)
        watch.end_epoch(loss, params)
        result.params, result.loss = intermediate_result.x.copy(), loss
        if watch.callbacks.end_epoch(params):
            result.outcome = watch.stop("callback")
        elif watch.is_out_of_patience:
            reason = watch.no_improvement()
            watch.report.message(f"{reason} Stopping.")
            result.outcome = watch.stop("converged", reason)
        elif watch.is_time_up:
            result.outcome = watch.stop("max_time")
        if watch.reason is not None:
            raise StopIteration
        if len(watch.progress.losses) < watch.max_epochs:
            watch.callbacks.begin_epoch()
