"""Training by mini-batches: epochs, their orders, and their end."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastnn.network.state import TrainingState
from fastnn.training.schedules import Schedule
from fastnn.training.watch import Watch


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
        self.trainer = None
        try:
            watch.begin(self.state.params)
            outcome = self._run_epochs(random_state)
        except KeyboardInterrupt:
            if not watch.progress.losses:
                raise
            outcome = watch.stop("interrupted")
        finally:
            if self.trainer is not None:
                self.trainer.fetch()
            params = watch.end(self.state.result)
        return params, outcome

    def _run_epochs(self, random_state):
        watch, order, state = self.watch, self.rows, self.state
        optimizer = state.optimizer
        self.trainer = trainer = watch.prepare(self.make_trainer)
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
            if watch.callbacks.see_state:
                trainer.fetch()
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
