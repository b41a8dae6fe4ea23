"""Training by SciPy's L-BFGS-B."""

from dataclasses import dataclass

import numpy as np
import scipy
from scipy.optimize import minimize

from fastnn.training.watch import TimeUp

# Whether L-BFGS-B can print how it gets on, by itself; later versions of SciPy warn of the option.
SCIPY_PRINTS = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)


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
