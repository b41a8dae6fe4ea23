"""What MLPClassifier and MLPRegressor share: fitting."""

import copy
import warnings
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from fastnn import config, stats
from fastnn.advice import warn_unscaled
from fastnn.callbacks import CallbackSupportMixin, callbacks_of
from fastnn.exchange import ExchangeMixin
from fastnn.fitted import FittedNetworkMixin
from fastnn.inspection import InspectionMixin
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import AVERAGE_DECAY, AVERAGE_POWER, DECAY, Optimizer
from fastnn.monitoring import given_validation, split_off
from fastnn.network import Data, Network, Regularization
from fastnn.parameters import (
    check_activation,
    check_batch_norm,
    check_batch_size,
    check_dropout,
    check_hidden_layer_sizes,
    check_scoring_name,
    check_weight_init,
    warn_ignored_parameters,
)
from fastnn.schedules import Schedule, has_planned_end
from fastnn.stopping import Progress, Watch
from fastnn.training import LBFGSFit, StochasticFit, digest
from fastnn.validation import (
    as_it_was_on_failure,
    check_representable,
    check_representable_weights,
    check_sample_weight,
    check_training_data,
)

# What a fit from scratch leaves none of an older one of.
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
    "_optimizer",
)
# Of these, what measures one network by one loss.
MARKS = ("best_loss_", "best_validation_score_", "best_epoch_", "_no_improvement_count")


class BaseMultilayerPerceptron(
    InspectionMixin, ExchangeMixin, FittedNetworkMixin, CallbackSupportMixin, BaseEstimator
):
    """Base class of the two estimators. Not for use by itself."""

    def _validate_params(self):
        check_weight_init(self)
        check_scoring_name(self)
        super()._validate_params()

    # ---- fitting -------------------------------------------------------------------

    def _fit(self, given, *, classes=None, incremental=False):
        """Fit; if that fails, leave the estimator exactly as it was."""
        started = perf_counter()
        callbacks = callbacks_of(
            self,
            given,
            method="partial_fit" if incremental else "fit",
            unit="iteration" if self.solver == "lbfgs" else "epoch",
            max_epochs=self._max_epochs(incremental),
        )
        with as_it_was_on_failure(self), stats.recorded(self, given.X, incremental):
            self._train(given, classes, incremental, started, callbacks)
            callbacks.end()
        return self

    def _train(self, given, classes, incremental, started, callbacks):
        hidden_units = check_hidden_layer_sizes(self.hidden_layer_sizes)
        check_batch_norm(self)
        fresh = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if fresh or not incremental:
            warn_ignored_parameters(self, has_validation=given.has_validation)

        X, y = check_training_data(
            self,
            given.X,
            given.y,
            y_numeric=self._y_numeric,
            precision=config.effective("dtype", self.dtype),
            reset=fresh,
        )
        encoded = self._encode_target(y, classes, incremental)
        sample_weight = check_sample_weight(given.sample_weight, X.shape[0])
        data = Data(X, encoded, self._loss_weights(encoded, sample_weight, incremental))
        if fresh:
            warn_unscaled(self, X, encoded)

        self._random_state = check_random_state(self.random_state)
        if fresh:
            network, params, raw = *self._begin(data, hidden_units), None
        else:
            network, params, raw = self._continue(data, hidden_units)
        if incremental and self._has_ended():
            return
        check_representable(data.X, params.dtype, "X")
        check_representable(data.y, params.dtype, "y")
        if data.sample_weight is not None and data.sample_weight.any():
            # Those of a part of the data may all be zero.
            check_representable_weights(data.sample_weight, params.dtype)
        rows, validation = self._held_out(
            given, network, data, y, sample_weight, params.dtype, incremental
        )
        watch = self._watch(len(rows), validation, incremental, started, callbacks)
        watch.progress.goes_on = not fresh

        def snapshot(params, named=True):
            model = self._snapshot(network, params, named)
            model._set_progress(watch)
            model._extend_curves(watch)
            return model

        if validation is not None:
            validation.snapshot = snapshot
        callbacks.begin(lambda params: vars(snapshot(params)))
        self._has_stopped = False
        if self.solver == "lbfgs":
            params = self._fit_lbfgs(network, params, data, rows, watch)
        else:
            self._fit_stochastic(network, params, raw, data, rows, watch, incremental)
        if not np.isfinite(params).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
            )
        self._set_network(network, params)
        self._extend_curves(watch)

    def _max_epochs(self, incremental):
        """The most epochs of a call, or iterations of L-BFGS, which knows no epochs."""
        return 1 if incremental and self.solver != "lbfgs" else self.max_iter

    def _has_ended(self):
        """Whether early stopping has ended the training that partial_fit is to go on with."""
        ended = self.early_stopping and getattr(self, "_has_stopped", False)
        if ended:
            warnings.warn(
                f"Early stopping has ended this training ({self.stop_reason_}) and partial_fit "
                "changes nothing. To go on, set early_stopping=False; for a new model, call fit.",
                UserWarning,
                stacklevel=2,
            )
        return ended

    def _begin(self, data, hidden_units):
        """Forget an earlier fit; draw initial parameters."""
        for name in HISTORY:
            vars(self).pop(name, None)
        self.t_ = 0
        n_outputs = self._n_outputs(data.y)
        layer_units = (data.X.shape[1], *hidden_units, n_outputs)
        network = self._network_of(layer_units)
        precision = config.effective("dtype", self.dtype)
        dtype = data.X.dtype if precision == "auto" else np.dtype(precision)
        params = network.initialize(self._random_state, dtype, self.weight_init)
        return network, self._cast_for_solver(params, precision)

    def _network_of(self, layer_units):
        """The network that the parameters describe."""
        activation = check_activation(self.activation, len(layer_units) - 2)
        return Network(tuple(layer_units), activation, *self._network_loss(), self.batch_norm)

    def _continue(self, data, hidden_units):
        """The network to go on with, a copy of its parameters, and where training was.

        The last is None where it was at these parameters, or these were changed since.
        """
        fitted, params = self._fitted_network()
        last = getattr(self, "_optimizer", None)
        raw = None
        if last is not None and last.raw is not None and last.raw_for == digest(params):
            # Where averaging is switched on or off, training goes on from the model.
            if last.state[AVERAGE_DECAY] == (self.weight_average or 0.0):
                raw = last.raw
        layer_units = (data.X.shape[1], *hidden_units, self._n_outputs(data.y))
        for given, of_model, what in (
            (layer_units[0], fitted.layer_units[0], "X has {} features"),
            (layer_units[-1], fitted.layer_units[-1], "y needs {} outputs"),
        ):
            if given != of_model:
                raise ValueError(
                    f"{what.format(given)}, but the network that is trained further "
                    f"has {of_model}. Fit a new one: set warm_start=False and call fit."
                )
        if layer_units != fitted.layer_units:
            warnings.warn(
                f"hidden_layer_sizes={self.hidden_layer_sizes} has no effect: the network "
                f"that is trained further has hidden layers of {fitted.layer_units[1:-1]} "
                "units. Set warm_start=False and call fit for a new network.",
                UserWarning,
                stacklevel=2,
            )
        network = self._network_of(fitted.layer_units)
        dtype = params.dtype if self.dtype == "auto" else np.dtype(self.dtype)
        if network != fitted:
            # What was best by another measure, or of another network, is no mark to beat.
            for name in MARKS:
                vars(self).pop(name, None)

        def carry(values):
            values = fitted.carried_over(values, network)
            return self._cast_for_solver(np.array(values, dtype=dtype), self.dtype)

        return network, carry(params), None if raw is None else carry(raw)

    def _cast_for_solver(self, params, precision):
        # SciPy's L-BFGS works in float64, and "auto" gives it all of it.
        if self.solver == "lbfgs" and precision == "auto":
            return params.astype(np.float64)
        return params

    # ---- what is held out, and the watch on the fit --------------------------------

    def _held_out(self, given, network, data, y, sample_weight, dtype, incremental):
        """Row numbers to train on, and the validation set or None."""
        all_rows = np.arange(data.X.shape[0], dtype=np.int64)
        if given.has_validation:
            return all_rows, given_validation(
                self, network, given, data, dtype, self._held_out_weights
            )
        if not self.early_stopping:
            return all_rows, None
        if incremental:
            raise ValueError(
                "partial_fit does not support early_stopping=True without a validation set that "
                "is the same in every call: pass X_val and y_val."
            )
        return split_off(self, network, data, y, sample_weight, self._random_state)

    def _loss_weights(self, encoded, sample_weight, incremental):
        """The weights that samples have in the loss."""
        return sample_weight

    def _held_out_weights(self, encoded, sample_weight):
        """Those of a validation set of the user's."""
        return sample_weight

    def _watch(self, n_samples, validation, incremental, started, callbacks):
        is_lbfgs = self.solver == "lbfgs"
        return Watch(
            self._progress(incremental),
            max_epochs=self._max_epochs(incremental),
            n_samples=n_samples,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            verbose=int(self.verbose),
            max_time=self.max_time,
            evaluate=None if validation is None else validation.evaluate,
            early_stopping=self.early_stopping,
            score_name="Validation loss" if self.scoring == "loss" else "Validation score",
            unit="iteration" if is_lbfgs else "epoch",
            patience=self.early_stopping or not is_lbfgs,
            callbacks=callbacks,
            started=started,
        )

    # ---- the solvers ---------------------------------------------------------------

    def _fit_lbfgs(self, network, params, data, rows, watch):
        """The trained parameters; sets the attributes of the fit."""
        backend = self._backend()
        everything = len(rows) == data.X.shape[0]
        fit = LBFGSFit(
            lambda: backend.objective(
                network,
                data,
                alpha=self.alpha,
                dtype=params.dtype,
                rows=None if everything else rows,
            ),
            params.astype(np.float64),
            watch,
            gtol=self.tol,
            max_fun=self.max_fun,
            dtype=params.dtype,
        )
        result = fit.run()
        self._set_progress(watch)
        self._warn_undefined(watch)
        if np.isfinite(result.loss) or result.outcome == "failed":
            self.loss_ = result.loss
        if result.outcome == "failed":
            self._warn_lbfgs(result)
        else:
            self._warn_outcome(result.outcome)
        return result.params

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
        warnings.warn(message, ConvergenceWarning, stacklevel=2)

    def _fit_stochastic(self, network, params, raw, data, rows, watch, incremental):
        """Train ``params`` in place; set the attributes of a stochastic fit."""
        backend = self._backend()
        optimizer = self._optimizer_for(params, incremental)
        if incremental and raw is not None:
            # The model is the average or the best; training goes on from where it was.
            watch.progress.best_params = params.copy()
            params[...] = raw
        elif optimizer.has_averaged:
            # The model is not the average, so that another one begins.
            optimizer.begin_average()
        batch_size = check_batch_size(self, len(rows))
        settings = {
            "regularization": self._regularization(data.X, len(network.layer_units) - 2),
            "batch_size": batch_size,
        }
        run = StochasticFit(
            lambda: backend.trainer(network, params, data, optimizer, **settings),
            params,
            optimizer,
            rows=rows,
            batch_size=batch_size,
            schedule=Schedule(
                self.learning_rate,
                self.learning_rate_init,
                self.power_t,
                self.max_iter,
                self.warmup_fraction,
            ),
            watch=watch,
            shuffle=self.shuffle,
        )
        outcome = run.run(self._random_state, goes_on=incremental)
        # What diverged is no state to go on from.
        self._optimizer = None if outcome == "diverged" else optimizer
        self._set_progress(watch)
        self._warn_undefined(watch)
        if not incremental:
            self._warn_outcome(outcome)
            return
        self._has_stopped = self.early_stopping and outcome == "converged"
        if outcome == "max_iter":
            # One epoch, as asked for.
            self.stop_reason_ = None
        else:
            self._warn_outcome(outcome)

    def _regularization(self, X, n_hidden):
        """What training does against overfitting."""
        dropout = check_dropout(self.dropout, self.input_dropout, n_hidden)
        augmentation = None if self.augment is None else self.augment.check_images(X)
        # Only what needs a seed draws one: without it the draws are scikit-learn's.
        seed = self._random_state.randint(2**31 - 1) if any(dropout) or augmentation else 0
        return Regularization(
            self.alpha,
            self.l1_ratio,
            dropout,
            self.max_grad_norm,
            self.batch_norm_momentum,
            seed,
            augmentation,
        )

    def _warn_undefined(self, watch):
        if watch.evaluate is not None and watch.is_undefined:
            warnings.warn(
                "The score of the validation set was never a number, so the model keeps the last "
                "weights. Give a larger validation set, with samples of every class, or another "
                "scoring.",
                UserWarning,
                stacklevel=2,
            )

    def _warn_outcome(self, outcome):
        if outcome == "interrupted":
            warnings.warn("Training interrupted by user.", UserWarning, stacklevel=2)
        elif outcome == "max_iter" and not has_planned_end(self.learning_rate):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter:d}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif outcome == "max_time":
            warnings.warn(
                f"Maximum time (max_time={self.max_time} seconds) reached after {self.n_iter_} "
                "iteration(s) and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif outcome == "diverged" and self.best_validation_score_ is not None:
            # Without validation, non-finite weights are an error.
            warnings.warn(
                f"Training diverged in iteration {self.n_iter_}: the weights became "
                "non-finite. The model keeps the weights of the best validation score, or "
                "the initial ones if there was none. Scale the data, or lower "
                "learning_rate_init.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _optimizer_for(self, params, incremental):
        """A new optimizer, or, in partial_fit, a copy of the one of the last call."""
        optimizer = Optimizer(
            self.solver,
            params.size,
            params.dtype,
            learning_rate=self.learning_rate_init,
            momentum=self.momentum,
            nesterovs_momentum=self.nesterovs_momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            alpha=self.alpha * (1 - self.l1_ratio),
            weight_average=self.weight_average,
        )
        last = getattr(self, "_optimizer", None)
        if not incremental or last is None:
            return optimizer
        if last.rule_name != optimizer.rule_name or last.slots.shape != optimizer.slots.shape:
            return optimizer
        last = copy.deepcopy(last)
        last.slots = last.slots.astype(params.dtype, copy=False)
        last.state[DECAY] = optimizer.state[DECAY]
        last.nesterovs_momentum = optimizer.nesterovs_momentum
        if last.state[AVERAGE_DECAY] != optimizer.state[AVERAGE_DECAY]:
            # Another average begins, or none, from the weights that the model has.
            last.average, last.raw = optimizer.average, None
            places = [AVERAGE_DECAY, AVERAGE_POWER]
            last.state[places] = optimizer.state[places]
        elif last.average is not None:
            last.average = last.average.astype(params.dtype, copy=False)
        return last

    # ---- progress, as attributes ---------------------------------------------------

    def _progress(self, incremental):
        """Where the last fit ended, or a start."""
        n_before = len(getattr(self, "loss_curve_", ()))
        progress = Progress(
            t=getattr(self, "t_", 0),
            # A schedule counts the calls of partial_fit, but begins anew with each fit.
            epoch=n_before if incremental else 0,
            n_before=n_before,
            no_improvement_count=self._patience_used(),
            best_epoch=getattr(self, "best_epoch_", None),
        )
        # None where the last fit stopped by the other criterion.
        best_loss = getattr(self, "best_loss_", None)
        best_score = getattr(self, "best_validation_score_", None)
        if best_score is not None:
            progress.best_score = best_score
        if not self.early_stopping and best_loss is not None:
            progress.best_loss = best_loss
        return progress

    def _patience_used(self):
        """Epochs without improvement so far, by what decides now."""
        same = getattr(self, "_criterion", None) == (self.early_stopping, self.scoring)
        return getattr(self, "_no_improvement_count", 0) if same else 0

    def _set_progress(self, watch):
        progress = watch.progress
        self._criterion = (self.early_stopping, self.scoring)
        self.t_ = progress.t
        self.n_iter_ = len(progress.losses)
        self._no_improvement_count = progress.no_improvement_count
        # An interrupted first epoch has no loss.
        self.loss_ = progress.losses[-1] if progress.losses else getattr(self, "loss_", np.nan)
        validated = watch.evaluate is not None
        self.best_loss_ = None if self.early_stopping else progress.best_loss
        self.best_validation_score_ = progress.best_score if validated else None
        self.best_epoch_ = progress.best_epoch if validated else None
        self.stop_reason_ = watch.reason
        if not validated:
            self.validation_scores_ = self.validation_loss_curve_ = None

    def _extend_curves(self, watch):
        """Add the run's losses and scores to the curves, once nothing can fail."""
        progress = watch.progress
        curves = {"loss_curve_": progress.losses}
        if self.solver != "lbfgs":
            curves["learning_rate_curve_"] = progress.rates
        if watch.evaluate is not None:
            curves["validation_scores_"] = progress.scores
            curves["validation_loss_curve_"] = progress.validation_losses
        for name, values in curves.items():
            before = list(getattr(self, name, None) or ())
            # Epochs without a validation set, or without a rate, have no value.
            before += [np.nan] * (progress.n_before - len(before))
            setattr(self, name, [*before, *values])

    def _loss_grad_lbfgs(
        self,
        packed_coef_inter,
        X,
        y,
        sample_weight,
        activations=None,
        deltas=None,
        coef_grads=None,
        intercept_grads=None,
    ):
        """Loss and gradient of all parameters, packed as scikit-learn packs them.

        ``y`` is encoded: an indicator of the classes, or real targets. The last four
        arguments are scikit-learn's work space, and not needed here.
        """
        network, _ = self._fitted_network()
        if LOSSES[network.loss].coupled:
            y = y.argmax(axis=1).astype(np.int32)[:, None]
        else:
            y = np.ascontiguousarray(y, dtype=np.float64)
        data = Data(X, y, sample_weight)
        packed = np.asarray(packed_coef_inter, dtype=np.float64)
        objective = self._backend().objective(
            network, data, alpha=self.alpha, dtype=np.dtype(np.float64)
        )
        return objective(packed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
