"""A problem, the methods that solve one, and the result.

What a step does, and on which device, is behind the Backend's `Trainer` and objective: nothing
here touches a mini-batch.
"""

from dataclasses import dataclass, replace

import numpy as np

from fastnn.network.data import Data
from fastnn.network.network import Network
from fastnn.network.regularization import Regularization
from fastnn.network.state import TrainingState
from fastnn.training.lbfgs import LBFGSFit
from fastnn.training.schedules import Schedule
from fastnn.training.stochastic import StochasticFit


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
