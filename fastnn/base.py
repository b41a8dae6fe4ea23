"""What MLPClassifier and MLPRegressor share: fitting."""

from abc import ABC
from dataclasses import replace
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from fastnn import config, notices, stats
from fastnn.advice import warn_unscaled
from fastnn.callbacks import CallbackSupportMixin, callbacks_of
from fastnn.exchange import ExchangeMixin
from fastnn.fitted import FittedNetworkMixin
from fastnn.history import HISTORY, MARKS, HistoryMixin
from fastnn.inspection import InspectionMixin
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import SCIKIT_LEARN_RULES
from fastnn.monitoring import given_validation, split_off
from fastnn.network import Data, Network, Regularization
from fastnn.parameters import (
    changed_parameters,
    check_activation,
    check_batch_norm,
    check_batch_size,
    check_dropout,
    check_hidden_layer_sizes,
    check_scoring_name,
    check_weight_init,
    splits_off,
    warn_ignored_parameters,
)
from fastnn.private_names import PrivateNamesMixin, is_overridden
from fastnn.progress import name_of_fit
from fastnn.schedules import EPOCH_SCHEDULES, Schedule, schedule_of, schedule_to_go_on_with
from fastnn.state import OptimizerState, TrainingState, WeightAverage
from fastnn.stopping import Watch
from fastnn.training import LBFGSFit, StochasticFit
from fastnn.validation import (
    check_representable,
    check_sample_weight,
    check_training_data,
)


class BaseMultilayerPerceptron(
    InspectionMixin,
    ExchangeMixin,
    PrivateNamesMixin,
    HistoryMixin,
    FittedNetworkMixin,
    CallbackSupportMixin,
    BaseEstimator,
    ABC,
):
    """Base class of the two estimators. Not for use by itself.

    An ABC, as scikit-learn's is, so that both have the same metaclass.
    """

    def _validate_params(self):
        check_weight_init(self)
        check_scoring_name(self)
        super()._validate_params()

    # ---- fitting -------------------------------------------------------------------

    def _fit(self, given, *, classes=None, incremental=False):
        """Fit a copy, and take over what it has come to; if that fails, nothing has changed."""
        started = perf_counter()
        callbacks = callbacks_of(
            self,
            given,
            method="partial_fit" if incremental else "fit",
            unit="iteration" if self.solver == "lbfgs" else "epoch",
            max_epochs=self._max_epochs(incremental),
        )
        worker = self._as_of_now()
        before = vars(worker).copy()
        with stats.recorded(self, given.X, incremental):
            warn = worker._train(given, classes, incremental, started, callbacks)
            with self._taken_over(worker, before):
                callbacks.end()
        # A filter may make an error of a warning; the model is trained all the same.
        warn()
        return self

    def _train(self, given, classes, incremental, started, callbacks):
        """Train this estimator; returns a function that warns of how that ended."""
        self._check_own_names()
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
            network, params, last = *self._begin(data, hidden_units), None
        else:
            network, params, last = self._continue(data, hidden_units, given, incremental)
        if incremental and self._has_ended():
            return self._advise_ended
        check_representable(data.X, params.dtype, "X")
        check_representable(data.y, params.dtype, "y")
        rows, validation = self._held_out(
            given, network, data, y, sample_weight, params.dtype, incremental
        )
        progress = self._progress(params, validation, fresh, incremental)
        watch = self._watch(progress, len(rows), validation, incremental, started, callbacks)

        def snapshot(params, named=True):
            model = self._snapshot(network, params, named)
            model._set_progress(watch)
            model._extend_curves(watch)
            return model

        if validation is not None:
            validation.snapshot = snapshot
        callbacks.begin(lambda params: vars(snapshot(params)))
        self._has_stopped = False
        start = params if last is None else last
        if self.solver == "lbfgs":
            params, state, warn = self._fit_lbfgs(network, start, data, rows, watch)
        else:
            state = self._state_to_train(start, incremental, is_ahead=last is not None)
            params, state, warn = self._fit_stochastic(
                network, state, data, rows, watch, incremental
            )
        self._adopt(network, params, state, self._goes_on_in(given, validation, incremental))
        self._extend_curves(watch)
        return warn

    def _goes_on_in(self, given, validation, incremental):
        """The methods that go on from where training came to, and not from the model."""
        averages = self.weight_average is not None and validation is None
        stochastic = self.solver != "lbfgs" and (incremental or averages)
        return ("fit",) * given.has_validation + ("partial_fit",) * stochastic

    def _adopt(self, network, params, state, goes_on_in):
        """Take a trained network, and the state of its training, None if that is none to keep."""
        if not np.isfinite(params).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
            )
        if state is not None:
            params = state.handed_out(params, goes_on_in)
        self._set_network(network, params)
        self._training_state = state

    def _max_epochs(self, incremental):
        """The most epochs of a call, or iterations of L-BFGS, which knows no epochs."""
        return 1 if incremental and self.solver != "lbfgs" else self.max_iter

    def _has_ended(self):
        """Whether early stopping has ended the training that partial_fit is to go on with."""
        return self.early_stopping and getattr(self, "_has_stopped", False)

    def _advise_ended(self):
        notices.advise(
            f"Early stopping has ended this training ({self.stop_reason_}) and partial_fit "
            "changes nothing. To go on, set early_stopping=False; for a new model, call fit."
        )

    def _begin(self, data, hidden_units):
        """Forget an earlier fit; draw initial parameters."""
        for name in HISTORY:
            # As in scikit-learn, an optimizer outlives L-BFGS, which has none.
            if name != "_training_state" or self.solver != "lbfgs":
                vars(self).pop(name, None)
        layer_units = (data.X.shape[1], *hidden_units, self._n_outputs(data.y))
        precision = config.effective("dtype", self.dtype)
        dtype = data.X.dtype if precision == "auto" else np.dtype(precision)
        targets = self._indicator(data.y) if is_overridden(self, "_initialize") else data.y
        self._initialize(targets, layer_units, dtype)
        network, params = self._fitted_network()
        _check_link(network)
        if network.layer_units[:: len(network.layers)] != layer_units[:: len(layer_units) - 1]:
            raise ValueError(
                f"_initialize of {type(self).__name__} has made a network of "
                f"{network.layer_units} units, where X and y need {layer_units[0]} inputs and "
                f"{layer_units[-1]} outputs."
            )
        return network, self._cast_for_solver(params.astype(dtype, copy=False), precision)

    def _network_of(self, layer_units):
        """The network that the parameters describe."""
        activation = check_activation(self.activation, len(layer_units) - 2)
        return Network(tuple(layer_units), activation, *self._network_loss(), self.batch_norm)

    def _continue(self, data, hidden_units, given, incremental):
        """The network to go on with, a copy of its parameters, and those to train on from.

        The last is None where training goes on from the network's.
        """
        fitted, params = self._fitted_network()
        _check_link(fitted)
        last = self._last_params(params, given, incremental)
        layer_units = (data.X.shape[1], *hidden_units, self._n_outputs(data.y))
        for n_given, of_model, what in (
            (layer_units[0], fitted.layer_units[0], "X has {} features"),
            (layer_units[-1], fitted.layer_units[-1], "y needs {} outputs"),
        ):
            if n_given != of_model:
                raise ValueError(
                    f"{what.format(n_given)}, but the network that is trained further "
                    f"has {of_model}. Fit a new one: set warm_start=False and call fit."
                )
        if layer_units != fitted.layer_units:
            notices.advise(
                f"hidden_layer_sizes={self.hidden_layer_sizes} has no effect: the network "
                f"that is trained further has hidden layers of {fitted.layer_units[1:-1]} "
                "units. Set warm_start=False and call fit for a new network."
            )
        network = self._network_of(fitted.layer_units)
        dtype = params.dtype if self.dtype == "auto" else np.dtype(self.dtype)
        if replace(network, activation=fitted.activation) != fitted:
            # What was best by another measure, or of another network, is no mark to beat.
            for name in MARKS:
                vars(self).pop(name, None)

        def carry(values):
            values = fitted.carried_over(values, network)
            return self._cast_for_solver(np.array(values, dtype=dtype), self.dtype)

        return network, carry(params), None if last is None else carry(last)

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
        if not splits_off(self):
            return all_rows, None
        if incremental:
            raise ValueError(
                "partial_fit does not support early_stopping=True without a validation set that "
                "is the same in every call: pass X_val and y_val."
            )
        return split_off(self, network, data, y, sample_weight, self._random_state)

    def _indicator(self, encoded):
        """The target that scikit-learn would train on: an indicator of classes, or real numbers."""
        return encoded

    def _loss_weights(self, encoded, sample_weight, incremental):
        """The weights that samples have in the loss."""
        return sample_weight

    def _held_out_weights(self, encoded, sample_weight):
        """Those of a validation set of the user's."""
        return sample_weight

    def _watch(self, progress, n_samples, validation, incremental, started, callbacks):
        is_lbfgs = self.solver == "lbfgs"
        early_stopping = self.early_stopping and validation is not None
        is_split_off = validation is not None and validation.is_split_off
        return Watch(
            progress,
            max_epochs=self._max_epochs(incremental),
            n_samples=n_samples,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            verbose=self._verbose(),
            name=self._name_of_fit(),
            max_time=self.max_time,
            evaluate=None if validation is None else validation.evaluate,
            early_stopping=early_stopping,
            score_name="Validation loss" if self.scoring == "loss" else "Validation score",
            unit="iteration" if is_lbfgs else "epoch",
            patience=early_stopping or not is_lbfgs,
            keeps_start=is_split_off and self.scoring is None,
            callbacks=callbacks,
            started=started,
        )

    def _verbose(self):
        """The ``verbose`` by which the epochs of this fit are shown."""
        # As in scikit-learn, what lbfgs prints is SciPy's, which prints nothing since 1.15.
        is_shown = self.verbose == "progress" or self.solver != "lbfgs"
        return self.verbose if is_shown else False

    def _name_of_fit(self):
        if self.verbose != "progress":
            return ""
        return name_of_fit(type(self).__name__, changed_parameters(self))

    # ---- the solvers ---------------------------------------------------------------

    def _fit_lbfgs(self, network, start, data, rows, watch):
        """The trained parameters, the state of the training, and what `_train` returns.

        Sets the fit's attributes.
        """
        backend = self._backend()
        everything = len(rows) == data.X.shape[0]
        fit = LBFGSFit(
            lambda: backend.objective(
                network,
                data,
                alpha=self.alpha,
                dtype=start.dtype,
                rows=None if everything else rows,
            ),
            start.astype(np.float64),
            watch,
            gtol=self.tol,
            max_fun=self.max_fun,
            dtype=start.dtype,
            prints=bool(self.verbose) and self.verbose != "progress",
        )
        result = fit.run()
        self._set_progress(watch)
        if np.isfinite(result.loss) or result.outcome == "failed":
            self.loss_ = np.float64(result.loss)

        def warn():
            self._advise_undefined(watch, result.outcome)
            if result.outcome == "failed":
                self._warn_lbfgs(result)
            else:
                self._warn_outcome(result.outcome)

        # As in scikit-learn, the state of the steps before outlives L-BFGS, which has none.
        before = getattr(self, "_training_state", None) or TrainingState(start)
        last = result.params if result.last is None else result.last
        return result.params, replace(before, params=last), warn

    def _fit_stochastic(self, network, state, data, rows, watch, incremental):
        """Train on from a state, in place; set the fit's attributes.

        Returns
        -------
        params : ndarray of shape (n_params,)
            The model's.
        state : TrainingState or None
            None where training diverged, which is no state to go on from.
        warn : callable
            What `_train` returns.
        """
        backend = self._backend()
        batch_size = check_batch_size(self, len(rows))
        settings = {
            "regularization": self._regularization(data.X, len(network.layer_units) - 2),
            "batch_size": batch_size,
        }
        run = StochasticFit(
            lambda: backend.trainer(network, data, state, **settings),
            state,
            rows=rows,
            batch_size=batch_size,
            schedule=Schedule(
                *schedule_to_go_on_with(self.learning_rate, self.solver, state.optimizer),
                self.max_iter,
                self.warmup_fraction,
            ),
            watch=watch,
            shuffle=self.shuffle,
        )
        # Where it is seen by what is called between epochs.
        self._training_state = state
        params, outcome = run.run(self._random_state)
        self._set_progress(watch)
        self._has_stopped = incremental and self.early_stopping and outcome == "converged"
        is_as_asked_for = incremental and outcome == "max_iter"
        if is_as_asked_for:
            self.stop_reason_ = None

        def warn():
            self._advise_undefined(watch, outcome)
            if not is_as_asked_for:
                self._warn_outcome(outcome)

        return params, None if outcome == "diverged" else state, warn

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

    def _state_to_train(self, params, incremental, *, is_ahead):
        """A new state at these parameters or, in partial_fit, a copy of that of the last call.

        As in scikit-learn, the optimizer stays also where the solver, if it is scikit-learn's, or
        its parameters have been changed since. Where the parameters are those of the model, and
        training is not ahead of it, another average begins.
        """
        new = self._new_state(params)
        last = getattr(self, "_training_state", None)
        if not incremental or last is None or not self._keeps_optimizer(last, new):
            return new
        state = last.copy_for(params)
        state.optimizer.nesterovs_momentum = new.optimizer.nesterovs_momentum
        if state.optimizer.rule.decoupled:
            state.optimizer.settings["decay"] = new.optimizer.settings["decay"]
        if _decay_of(state.average) != _decay_of(new.average):
            state.average = new.average
        elif state.has_average and not is_ahead:
            state.average.begin_anew()
        return state

    def _new_state(self, params):
        schedule = schedule_of(self.learning_rate, self.solver)
        optimizer = OptimizerState(
            self.solver,
            params.size,
            params.dtype,
            self.learning_rate_init,
            nesterovs_momentum=self.nesterovs_momentum,
            schedule=schedule if schedule in EPOCH_SCHEDULES else None,
            power_t=self.power_t,
            momentum=self.momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            decay=self.alpha * (1 - self.l1_ratio),
        )
        average = None
        if self.weight_average is not None:
            average = WeightAverage(params.size, params.dtype, self.weight_average)
        return TrainingState(params, optimizer, average)

    def _keeps_optimizer(self, last, new):
        """Whether partial_fit goes on with the optimizer of the last state."""
        last, new = last.optimizer, new.optimizer
        if last is None or last.slots.shape[1] != new.slots.shape[1]:
            return False
        if last.rule_name == new.rule_name:
            return True
        if not {last.rule_name, new.rule_name} <= set(SCIKIT_LEARN_RULES):
            return False
        if last.solver != new.solver:
            notices.advise(
                f"solver={self.solver!r} has no effect: partial_fit goes on with the optimizer "
                f"that it has, {last.solver!r}, as in scikit-learn. Call fit for a new one."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _decay_of(average):
    """The decay of an average of the parameters, 0 without one."""
    return 0.0 if average is None else average.decay


def _check_link(network):
    """Raise ValueError if a network is to be trained whose output is not that of its loss."""
    if network.link is not None:
        raise ValueError(
            f"out_activation_={network.link!r} was set by hand, but the loss of this network "
            f"needs {LOSSES[network.loss].out_activation!r}. Set it to that, or call fit for a "
            "new network."
        )
