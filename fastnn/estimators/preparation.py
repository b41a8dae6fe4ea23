"""The first stage of a fit: what is to be trained, made of the parameters and the data."""

import copy
from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import check_random_state

from fastnn import notices
from fastnn.estimators import config
from fastnn.estimators.advice import warn_unscaled
from fastnn.estimators.checks import check_representable, check_sample_weight, check_training_data
from fastnn.estimators.history import HISTORY, MARKS
from fastnn.estimators.parameter_table.parameter import splits_off
from fastnn.estimators.parameters import (
    changed_parameters,
    check_activation,
    check_batch_norm,
    check_batch_size,
    check_dropout,
    check_hidden_layer_sizes,
    warn_ignored_parameters,
)
from fastnn.estimators.private_names import is_overridden
from fastnn.estimators.validation_set import evaluation_of, given_validation, split_off
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import SCIKIT_LEARN_RULES
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron, to_plain
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState, WeightAverage
from fastnn.training.problem import FullBatches, MiniBatches, Problem
from fastnn.training.progress import name_of_fit
from fastnn.training.schedules import EPOCH_SCHEDULES, Schedule, schedule_of, schedule_to_go_on_with
from fastnn.training.watch import Watch


@dataclass(frozen=True)
class Call:
    """A call of fit or partial_fit.

    Parameters
    ----------
    incremental : bool
        Whether it is partial_fit.
    started : float
        When it began, by `time.perf_counter`.
    callbacks : NoCallbacks or EpochCallbacks
    """

    incremental: bool
    started: float
    callbacks: object


@dataclass(frozen=True)
class Prepared:
    """A training that can begin.

    Parameters
    ----------
    problem : Problem
    state : TrainingState
        Where it begins.
    watch : Watch
    goes_on_in : tuple of str
        The methods that will go on from where it comes to, and not from the model.
    """

    problem: Problem
    state: TrainingState
    watch: Watch
    goes_on_in: tuple


class PreparationMixin:
    """The methods that prepare a training."""

    def _prepare(self, given, classes, call):
        """Check parameters and data; returns what is `Prepared` of them.

        None where early stopping has ended the training that partial_fit was to go on with.
        """
        self._check_own_names()
        hidden_units = check_hidden_layer_sizes(self.hidden_layer_sizes)
        check_batch_norm(self)
        incremental = call.incremental
        fresh = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if fresh or not incremental:
            warn_ignored_parameters(self, has_validation=given.has_validation)
        y, data, sample_weight = self._checked_data(given, classes, fresh, incremental)
        self._random_state = check_random_state(self.random_state)
        if fresh:
            network, params, last = *self._begin(data, hidden_units), None
        else:
            network, params, last = self._continue(data, hidden_units, given, incremental)
        if incremental and self._has_ended():
            return None
        check_representable(data.X, params.dtype, "X")
        check_representable(data.y, params.dtype, "y")
        rows, validation = self._held_out(given, data, y, sample_weight, params.dtype, incremental)
        progress = self._progress(params, validation, fresh, incremental)
        watch = self._watch(progress, network, len(rows), validation, call)
        self._has_stopped = False
        state = self._start(params if last is None else last, incremental, last is not None)
        method = self._method(network, data, rows, state)
        goes_on_in = self._goes_on_in(given, validation, incremental)
        call.callbacks.begin(
            lambda params: vars(self._as_if_ended(network, watch, state, params, goes_on_in))
        )
        return Prepared(Problem(network, data, rows, method), state, watch, goes_on_in)

    def _checked_data(self, given, classes, fresh, incremental):
        """y as the user gave it, the `Data` of the network, and the user's weights."""
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
        return y, data, sample_weight

    def _goes_on_in(self, given, validation, incremental):
        """The methods that go on from where training came to, and not from the model."""
        averages = self.weight_average is not None and validation is None
        stochastic = self.solver != "lbfgs" and (incremental or averages)
        return ("fit",) * given.has_validation + ("partial_fit",) * stochastic

    def _has_ended(self):
        """Whether early stopping has ended the training that partial_fit is to go on with."""
        return self.early_stopping and getattr(self, "_has_stopped", False)

    # ---- the network, begun or gone on with ------------------------------------------

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
        if (network.n_inputs, network.n_outputs) != (layer_units[0], layer_units[-1]):
            raise ValueError(
                f"_initialize of {type(self).__name__} has made a network of "
                f"{network.layer_units} units, where X and y need {layer_units[0]} inputs and "
                f"{layer_units[-1]} outputs."
            )
        return network, self._cast_for_solver(params.astype(dtype, copy=False), precision)

    def _network_of(self, layer_units):
        """The network that the parameters describe."""
        activation = check_activation(self.activation, len(layer_units) - 2)
        return multilayer_perceptron(
            tuple(layer_units), activation, *self._network_loss(), self.batch_norm
        )

    def _continue(self, data, hidden_units, given, incremental):
        """The network to go on with, a copy of its parameters, and those to train on from.

        The last is None where training goes on from the network's.
        """
        fitted, params = self._fitted_network()
        _check_link(fitted)
        last = self._last_params(params, given, incremental)
        layer_units = (data.X.shape[1], *hidden_units, self._n_outputs(data.y))
        for n_given, of_model, what in (
            (layer_units[0], fitted.n_inputs, "X has {} features"),
            (layer_units[-1], fitted.n_outputs, "y needs {} outputs"),
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
        # A precision that was given for the network, maybe by `config_context`, is not changed.
        is_given = self.dtype != "auto" or self._trained_network().precision_is_given
        precision = dtype if is_given else "auto"
        if to_plain(network) | {"activation": fitted.activations} != to_plain(fitted):
            # The best by another measure, or of another network, is no mark to beat.
            for name in MARKS:
                vars(self).pop(name, None)

        def carry(values):
            values = fitted.carried_over(values, network)
            return self._cast_for_solver(np.array(values, dtype=dtype), precision)

        return network, carry(params), None if last is None else carry(last)

    def _cast_for_solver(self, params, precision):
        # SciPy's L-BFGS works in float64, and "auto" gives it all of it.
        if self.solver == "lbfgs" and precision == "auto":
            return params.astype(np.float64)
        return params

    # ---- what is held out, and the watch on the fit --------------------------------

    def _held_out(self, given, data, y, sample_weight, dtype, incremental):
        """Row numbers to train on, and the validation set or None."""
        all_rows = np.arange(data.X.shape[0], dtype=np.int64)
        if given.has_validation:
            return all_rows, given_validation(self, given, data, dtype, self._held_out_weights)
        if not splits_off(self):
            return all_rows, None
        if incremental:
            raise ValueError(
                "partial_fit does not support early_stopping=True without a validation set that "
                "is the same in every call: pass X_val and y_val."
            )
        return split_off(self, data, y, sample_weight, self._random_state)

    def _indicator(self, encoded):
        """The target that scikit-learn would train on: an indicator of classes, or real numbers."""
        return encoded

    def _loss_weights(self, encoded, sample_weight, incremental):
        """The weights that samples have in the loss."""
        return sample_weight

    def _held_out_weights(self, encoded, sample_weight):
        """The weights that samples of the user's validation set have in the loss."""
        return sample_weight

    def _watch(self, progress, network, n_samples, validation, call):
        is_lbfgs = self.solver == "lbfgs"
        early_stopping = self.early_stopping and validation is not None
        is_split_off = validation is not None and validation.is_split_off

        def snapshot(params, named=True):
            return self._as_of_epoch(network, watch, params, named)

        evaluate = None
        if validation is not None:
            evaluate = evaluation_of(self, network, validation, snapshot)
        watch = Watch(
            progress,
            max_epochs=self._max_epochs(call.incremental),
            n_samples=n_samples,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            verbose=self._verbose(),
            name=self._name_of_fit(),
            max_time=self.max_time,
            evaluate=evaluate,
            early_stopping=early_stopping,
            score_name="Validation loss" if self.scoring == "loss" else "Validation score",
            unit="iteration" if is_lbfgs else "epoch",
            patience=early_stopping or not is_lbfgs,
            keeps_start=is_split_off and self.scoring is None,
            callbacks=call.callbacks,
            started=call.started,
        )
        return watch

    def _as_of_epoch(self, network, watch, params, named=True):
        """A fitted estimator of its own with these parameters and the record so far."""
        model = self._snapshot(network, params, named)
        model._set_progress(watch)
        model._extend_curves(watch)
        return model

    def _as_if_ended(self, network, watch, state, params, goes_on_in):
        """The same with a state of its own, from which it would go on had training ended here."""
        model = self._as_of_epoch(network, watch, params)
        if self.solver != "lbfgs":
            own = copy.deepcopy(state)
            own.handed_out(own.params if params is state.params else params, goes_on_in)
            model._training_state = own
        return model

    def _max_epochs(self, incremental):
        """The most epochs of a call, or iterations of L-BFGS, which knows no epochs."""
        return 1 if incremental and self.solver != "lbfgs" else self.max_iter

    def _verbose(self):
        """The ``verbose`` by which the epochs of this fit are shown."""
        # As in scikit-learn, what lbfgs prints is SciPy's, which prints nothing since 1.15.
        is_shown = self.verbose == "progress" or self.solver != "lbfgs"
        return self.verbose if is_shown else False

    def _name_of_fit(self):
        if self.verbose != "progress":
            return ""
        return name_of_fit(type(self).__name__, changed_parameters(self))

    # ---- the method, and the state that it begins with -----------------------------

    def _method(self, network, data, rows, state):
        """The method by which the solver goes through the data."""
        if self.solver == "lbfgs":
            prints = bool(self.verbose) and self.verbose != "progress"
            return FullBatches(self.alpha, self.tol, self.max_fun, prints)
        batch_size = check_batch_size(self, len(rows))
        regularization = self._regularization(data.X, len(network.activations))
        schedule = Schedule(
            *schedule_to_go_on_with(self.learning_rate, self.solver, state.optimizer),
            self.max_iter,
            self.warmup_fraction,
        )
        return MiniBatches(batch_size, schedule, regularization, self.shuffle, self._random_state)

    def _regularization(self, X, n_hidden):
        """The means against overfitting that the parameters ask for."""
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

    def _start(self, params, incremental, is_ahead):
        """The state that training begins with."""
        if self.solver != "lbfgs":
            # The estimator has it, where what is called between epochs looks for it.
            self._training_state = self._state_to_train(params, incremental, is_ahead=is_ahead)
            return self._training_state
        # As in scikit-learn, the state of the steps before outlives L-BFGS, which has none; but
        # not that of a network of another size.
        before = getattr(self, "_training_state", None)
        if before is None or before.params.size != params.size:
            return TrainingState(params)
        return replace(before, params=params)

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
