"""The record of trainings: attributes of the estimator, and warnings of how they ended."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn import notices
from fastnn.estimators.validation_set import BY_SPLIT_OFF_ROWS, BY_TRAINING_LOSS, criterion_of
from fastnn.training.schedules import has_planned_end
from fastnn.training.watch import Progress

# Attributes that a fresh fit deletes before it starts.
HISTORY = (
    "loss_curve_",
    "learning_rate_curve_",
    "best_loss_",
    "validation_scores_",
    "validation_loss_curve_",
    "best_validation_score_",
    "best_epoch_",
    "stop_reason_",
    "_no_improvement_count",
    "_criterion",
    "_has_stopped",
    "_training_state",
)
# The attributes among them that measure a network by its loss.
MARKS = ("best_loss_", "best_validation_score_", "best_epoch_", "_no_improvement_count")


class HistoryMixin:
    """The record of an estimator's trainings, from which later ones go on."""

    def _progress(self, params, validation, fresh, incremental):
        """Where the last fit ended, or a start, for a run whose network has these ``params``."""
        n_before = len(getattr(self, "loss_curve_", ()))
        is_split_off = validation is not None and validation.is_split_off
        criterion = criterion_of(self, validation)
        # Marks without a criterion are those that a user has set.
        goes_on = getattr(self, "_criterion", criterion) == criterion
        progress = Progress(
            t=getattr(self, "t_", 0),
            # A schedule counts the calls of partial_fit, but begins anew with each fit.
            epoch=n_before if incremental else 0,
            n_before=n_before,
            no_improvement_count=getattr(self, "_no_improvement_count", 0) if goes_on else 0,
            best_epoch=getattr(self, "best_epoch_", None),
            criterion=criterion,
        )
        # None where the last fit stopped by the other criterion.
        best_loss = getattr(self, "best_loss_", None)
        if criterion == BY_TRAINING_LOSS and best_loss is not None:
            progress.best_loss = best_loss
        if not fresh:
            # By rows that are split off anew, the best score of all calls remains the mark, as in
            # scikit-learn, and a run that does not beat it ends where it came to.
            mark = getattr(self, "best_validation_score_", None)
            progress.best_score = mark if is_split_off and goes_on else None
        if validation is not None and (fresh or not is_split_off):
            progress.best_params = params.copy()
        return progress

    def _last_params(self, params, given, incremental):
        """The parameters that training came to, where it goes on from these and not the network's.

        None also where the user has changed the network's since.
        """
        state = getattr(self, "_training_state", None)
        if state is None or not state.is_ahead("partial_fit" if incremental else "fit", params):
            return None
        if incremental:
            # Where averaging is switched on or off, training goes on from the model.
            decay = 0.0 if state.average is None else state.average.decay
            return state.params if decay == (self.weight_average or 0.0) else None
        return state.params if given.has_validation else None

    def _set_progress(self, watch):
        progress = watch.progress
        self.t_ = progress.t
        self.n_iter_ = len(progress.losses)
        # An interrupted first epoch has no loss.
        self.loss_ = progress.losses[-1] if progress.losses else getattr(self, "loss_", np.nan)
        self.stop_reason_ = watch.reason
        validated = watch.evaluate is not None
        if self.solver == "lbfgs" and not validated and hasattr(self, "learning_rate_curve_"):
            # As in scikit-learn, later epochs are judged by what those before this fit were, but
            # not by a score of the user's validation set, which this network was not trained by.
            if self._criterion != BY_SPLIT_OFF_ROWS:
                self.best_validation_score_ = self.best_epoch_ = None
            return
        self._criterion = progress.criterion
        self._no_improvement_count = progress.no_improvement_count
        self.best_loss_ = None if watch.early_stopping else progress.best_loss
        self.best_validation_score_ = progress.best_score if validated else None
        self.best_epoch_ = progress.best_epoch if validated else None
        if not validated:
            self.validation_scores_ = self.validation_loss_curve_ = None

    def _extend_curves(self, watch):
        """Add the run's losses and scores to the curves, once nothing can fail."""
        progress = watch.progress
        curves = {"loss_curve_": progress.losses}
        if self.solver != "lbfgs":
            curves["learning_rate_curve_"] = progress.rates
        if watch.evaluate is not None or self.validation_scores_ is not None:
            no_values = [np.nan] * len(progress.losses)
            validated = watch.evaluate is not None
            curves["validation_scores_"] = progress.scores if validated else no_values
            curves["validation_loss_curve_"] = (
                progress.validation_losses if validated else no_values
            )
        for name, values in curves.items():
            before = list(getattr(self, name, None) or ())
            # Epochs without a validation set, or without a rate, have no value.
            before += [np.nan] * (progress.n_before - len(before))
            setattr(self, name, [*before, *values])

    def _advise_undefined(self, watch, outcome):
        if watch.evaluate is None or not watch.is_undefined or outcome == "diverged":
            return
        start = watch.keeps_start and watch.progress.best_params is not None
        notices.advise(
            "The score of the validation set was never a finite number, so the model keeps the "
            f"{'weights that training began with' if start else 'last weights'}. Give a larger "
            "validation set, with samples of every class, or another scoring."
        )

    def _advise_ended(self):
        notices.advise(
            f"Early stopping has ended this training ({self.stop_reason_}) and partial_fit "
            "changes nothing. To go on, set early_stopping=False; for a new model, call fit."
        )

    def _warn_of_end(self, watch, result, incremental):
        """Warn where a training did not end as it should."""
        self._advise_undefined(watch, result.outcome)
        if result.outcome == "failed":
            self._warn_lbfgs(result)
        elif self.solver == "lbfgs" or not incremental or result.outcome != "max_iter":
            self._warn_outcome(result.outcome)

    def _warn_outcome(self, outcome):
        if outcome == "interrupted":
            notices.warn("Training interrupted by user.")
        elif outcome == "max_iter" and not has_planned_end(self.learning_rate):
            notices.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter:d}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        elif outcome == "max_time":
            notices.warn(
                f"Maximum time (max_time={self.max_time} seconds) reached after {self.n_iter_} "
                "iteration(s) and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        elif outcome == "diverged":
            notices.warn(
                f"Training diverged in iteration {self.n_iter_}: the weights became "
                "non-finite. The model keeps the weights of the best validation score, or "
                "the initial ones if there was none. Scale the data, or lower "
                "learning_rate_init.",
                ConvergenceWarning,
            )

    def _warn_lbfgs(self, result):
        message = (
            f"lbfgs failed to converge after {self.n_iter_} iteration(s) "
            f"(status={result.status}):\n{result.message}\n"
        )
        if self.n_iter_ == self.max_iter:
            message += (
                "\nIncrease the number of iterations to improve the "
                f"convergence (max_iter={self.max_iter})."
            )
        message += (
            "\nYou might also want to scale the data as shown in:\n"
            "    https://scikit-learn.org/stable/modules/preprocessing.html"
        )
        notices.warn(message, ConvergenceWarning)
