"""What MLPClassifier and MLPRegressor share: fitting, the flat parameters, pickling."""

import copy
import warnings
from dataclasses import replace
from itertools import chain

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastnn import backends
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import AVERAGE_DECAY, AVERAGE_POWER, DECAY, Optimizer
from fastnn.network import Data, Network, Regularization
from fastnn.parameters import (
    check_activation,
    check_batch_norm,
    check_batch_size,
    check_dropout,
    check_hidden_layer_sizes,
    check_weight_init,
    warn_ignored_parameters,
)
from fastnn.registration import check_known, packed, unpack
from fastnn.training import Progress, Schedule, StochasticFit, minimize_lbfgs
from fastnn.validation import (
    as_it_was_on_failure,
    check_prediction_data,
    check_representable,
    check_representable_weights,
    check_sample_weight,
    check_training_data,
)

# What only the stochastic solvers set; a fit from scratch leaves none of an older one.
STOCHASTIC_ATTRIBUTES = (
    "loss_curve_",
    "learning_rate_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
    "_optimizer",
)


# Lists of views of the flat vector, besides coefs_ and intercepts_.
NORM_ATTRIBUTES = (
    "batch_norm_scale_", "batch_norm_shift_", "batch_norm_mean_", "batch_norm_var_",
)  # fmt: skip
EXTRA_ATTRIBUTES = ("activation_params_", *NORM_ATTRIBUTES)


class BaseMultilayerPerceptron(BaseEstimator):
    """Base class of the two estimators. Not for use by itself."""

    def _validate_params(self):
        check_weight_init(self)
        super()._validate_params()

    # ---- fitting -------------------------------------------------------------------

    def _fit(self, X, y, sample_weight=None, *, classes=None, incremental=False):
        """Fit; if that fails, leave the estimator exactly as it was."""
        with as_it_was_on_failure(self):
            self._train(X, y, sample_weight, classes, incremental)
        return self

    def _train(self, X, y, sample_weight, classes, incremental):
        hidden_units = check_hidden_layer_sizes(self.hidden_layer_sizes)
        check_batch_norm(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        fresh = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if fresh or not incremental:
            warn_ignored_parameters(self)

        X, y = check_training_data(self, X, y, y_numeric=self._y_numeric, reset=fresh)
        sample_weight = check_sample_weight(sample_weight, X.shape[0])
        data = Data(X, self._encode_target(y, classes, incremental), sample_weight)

        self._random_state = check_random_state(self.random_state)
        if fresh:
            network, params = self._begin(data, hidden_units)
        else:
            network, params = self._continue(data, hidden_units)
        check_representable(data.X, params.dtype, "X")
        check_representable(data.y, params.dtype, "y")
        check_representable_weights(sample_weight, params.dtype)
        run = None
        if self.solver != "lbfgs":
            run = self._fit_stochastic(network, params, data, incremental)
        else:
            params = self._fit_lbfgs(network, params, data)
        if not np.isfinite(params).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
            )
        self._set_network(network, params)
        if run is not None:
            self._extend_curves(run.progress)

    def _begin(self, data, hidden_units):
        """Forget an earlier fit; draw initial parameters."""
        for name in STOCHASTIC_ATTRIBUTES:
            vars(self).pop(name, None)
        self.t_ = 0
        n_outputs = self._n_outputs(data.y)
        layer_units = (data.X.shape[1], *hidden_units, n_outputs)
        network = self._network_of(layer_units)
        dtype = data.X.dtype if self.dtype == "auto" else np.dtype(self.dtype)
        params = network.initialize(self._random_state, dtype, self.weight_init)
        return network, self._cast_for_solver(params)

    def _network_of(self, layer_units):
        """The network that the parameters describe."""
        activation = check_activation(self.activation, len(layer_units) - 2)
        return Network(tuple(layer_units), activation, *self._network_loss(), self.batch_norm)

    def _continue(self, data, hidden_units):
        """A copy of the fitted parameters, to go on with."""
        fitted, params = self._fitted_network()
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
        params = fitted.carried_over(params, network)
        if network != fitted:
            # What was best by another measure, or of another network, is no mark to beat.
            for name in ("best_loss_", "best_validation_score_", "_no_improvement_count"):
                vars(self).pop(name, None)
        return network, self._cast_for_solver(np.array(params, dtype=dtype))

    def _cast_for_solver(self, params):
        # SciPy's L-BFGS works in float64, and "auto" gives it all of it.
        if self.solver == "lbfgs" and self.dtype == "auto":
            return params.astype(np.float64)
        return params

    def _fit_lbfgs(self, network, params, data):
        backend = self._backend()
        result = minimize_lbfgs(
            lambda: backend.objective(network, data, alpha=self.alpha, dtype=params.dtype),
            params.astype(np.float64),
            tol=self.tol,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            verbose=bool(self.verbose),
        )
        if result.interrupted:
            warnings.warn("Training interrupted by user.", UserWarning, stacklevel=2)
        elif result.status != 0:
            self._warn_lbfgs(result)
        self.n_iter_ = result.n_iter
        self.loss_ = result.loss
        return result.params.astype(params.dtype)

    def _warn_lbfgs(self, result):
        message = (
            f"lbfgs failed to converge after {result.n_iter} iteration(s) "
            f"(status={result.status}):\n{result.message}\n"
        )
        if result.n_iter == self.max_iter:
            message += (
                "\nIncrease the number of iterations to improve the "
                f"convergence (max_iter={self.max_iter})."
            )
        message += (
            "\nYou might also want to scale the data as shown in:\n"
            "    https://scikit-learn.org/stable/modules/preprocessing.html"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=2)

    def _fit_stochastic(self, network, params, data, incremental):
        """Train ``params`` in place; set the attributes of a stochastic fit."""
        backend = self._backend()
        train, validation = self._split(data)
        score = None
        if validation is not None:
            score = self._validation_score(backend, network, data, validation)
        optimizer = self._optimizer_for(params, incremental)
        if optimizer.has_averaged and np.array_equal(params, optimizer.average):
            # The model is the average; training goes on from where it was.
            params[...] = optimizer.raw
        batch_size = check_batch_size(self, len(train))
        settings = {
            "regularization": self._regularization(len(network.layer_units) - 2),
            "batch_size": batch_size,
        }
        run = StochasticFit(
            lambda: backend.trainer(network, params, data, optimizer, **settings),
            params,
            optimizer,
            rows=train,
            batch_size=batch_size,
            schedule=Schedule(
                self.learning_rate,
                self.learning_rate_init,
                self.power_t,
                self.max_iter,
                self.warmup_fraction,
            ),
            progress=self._progress(incremental),
            score=score,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            shuffle=self.shuffle,
            verbose=bool(self.verbose),
        )
        outcome = run.run(1 if incremental else self.max_iter, self._random_state)
        self._optimizer = optimizer
        self._set_progress(run.progress)
        if not (incremental and outcome == "max_iter"):
            self._warn_outcome(outcome)
        return run

    def _regularization(self, n_hidden):
        """What training does against overfitting."""
        dropout = check_dropout(self.dropout, self.input_dropout, n_hidden)
        # Only what needs a seed draws one: without it the draws are scikit-learn's.
        seed = self._random_state.randint(2**31 - 1) if any(dropout) else 0
        return Regularization(
            self.alpha, self.l1_ratio, dropout, self.max_grad_norm, self.batch_norm_momentum, seed
        )

    def _warn_outcome(self, outcome):
        if outcome == "interrupted":
            warnings.warn("Training interrupted by user.", UserWarning, stacklevel=2)
        elif outcome == "max_iter":
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif outcome == "diverged" and self.early_stopping:
            # Without early stopping, non-finite weights are an error.
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

    # ---- early stopping ------------------------------------------------------------

    def _split(self, data):
        """Row numbers for training and, with early stopping, for validation."""
        rows = np.arange(data.X.shape[0], dtype=np.int64)
        if not self.early_stopping:
            return rows, None
        split = {"random_state": self._random_state, "test_size": self.validation_fraction}
        labels = self._stratification(data.y)
        try:
            train, validation = train_test_split(rows, stratify=labels, **split)
        except ValueError:
            if labels is None:
                raise
            # Once more, for a message that names the classes as scikit-learn does.
            train_test_split(rows, stratify=labels.astype(bool).astype(str), **split)
            raise
        if len(validation) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        return train, validation

    def _validation_score(self, backend, network, data, rows):
        """The callable ``score(params)`` on the validation rows; NaN where undefined."""
        y = data.y[rows]
        weight = None if data.sample_weight is None else data.sample_weight[rows]

        def score(params):
            output = backend.forward(*network.folded(params), data.X, rows=rows)
            if not np.isfinite(output).all() or (weight is not None and not weight.any()):
                return np.nan
            with np.errstate(over="ignore"):
                return self._score_outputs(y, output, weight)

        return score

    # ---- progress, as attributes ---------------------------------------------------

    def _progress(self, incremental):
        """Where the last fit ended, or a start."""
        progress = Progress(
            t=getattr(self, "t_", 0),
            # A schedule counts the calls of partial_fit, but begins anew with each fit.
            epoch=len(getattr(self, "loss_curve_", ())) if incremental else 0,
            no_improvement_count=getattr(self, "_no_improvement_count", 0),
        )
        # None where the last fit stopped by the other criterion.
        best_loss = getattr(self, "best_loss_", None)
        best_score = getattr(self, "best_validation_score_", None)
        if self.early_stopping and best_score is not None:
            progress.best_score = best_score
        if not self.early_stopping and best_loss is not None:
            progress.best_loss = best_loss
        return progress

    def _set_progress(self, progress):
        self.t_ = progress.t
        self.n_iter_ = len(progress.losses)
        self._no_improvement_count = progress.no_improvement_count
        # An interrupted first epoch has no loss.
        self.loss_ = progress.losses[-1] if progress.losses else getattr(self, "loss_", np.nan)
        self.best_loss_ = None if self.early_stopping else progress.best_loss
        self.best_validation_score_ = progress.best_score if self.early_stopping else None

    def _extend_curves(self, progress):
        """Add the run's losses and scores to the curves, once nothing can fail."""
        for name, values in (
            ("loss_curve_", progress.losses),
            ("learning_rate_curve_", progress.rates),
        ):
            if not hasattr(self, name):
                setattr(self, name, [])
            getattr(self, name).extend(values)
        if not self.early_stopping:
            self.validation_scores_ = None
            return
        if getattr(self, "validation_scores_", None) is None:
            self.validation_scores_ = []
        self.validation_scores_.extend(progress.scores)

    # ---- the flat parameters and their views ---------------------------------------

    def _set_network(self, network, params):
        """Take a trained network: hand out ``coefs_`` and ``intercepts_`` as views."""
        self._network = network
        self._params = params
        self.n_layers_ = len(network.layer_units)
        self.n_outputs_ = network.layer_units[-1]
        self.n_parameters_ = network.n_trained
        self.out_activation_ = network.out_activation
        self._make_views()

    def _make_views(self):
        self.coefs_ = self._network.coefs(self._params)
        self.intercepts_ = self._network.intercepts(self._params)
        self.activation_params_ = self._network.slopes(self._params)
        for name, views in zip(NORM_ATTRIBUTES, self._network.norms(self._params), strict=True):
            setattr(self, name, views)
        self._views = self._current_views()
        # Weights with batch normalisation folded in, for predictions.
        self._folded = self._network.folded(self._params)[1] if self._network.batch_norm else None
        # What the backend keeps between predictions, for these parameters.
        self._kept = {}

    def _current_views(self):
        """All arrays that the public attributes hand out, None where a layer has none."""
        extras = (vars(self).get(name, ()) for name in EXTRA_ATTRIBUTES)
        return (*self.coefs_, *self.intercepts_, *chain.from_iterable(extras))

    def _views_are_ours(self):
        views = vars(self).get("_views")
        current = self._current_views()
        return (
            views is not None
            and len(views) == len(current)
            and all(ours is theirs for ours, theirs in zip(views, current, strict=True))
        )

    def _fitted_network(self):
        """The network and its flat parameters, as ``coefs_`` and ``intercepts_`` say.

        Arrays that the user put in their place are packed anew for every use, so that
        later changes to them count too.
        """
        if self._views_are_ours():
            return self._network, self._params
        coefs = [np.asarray(coef) for coef in self.coefs_]
        intercepts = [np.asarray(intercept) for intercept in self.intercepts_]
        consistent = len(coefs) == len(intercepts) > 0 and all(
            coef.ndim == 2
            and intercept.shape == (coef.shape[1],)
            and (i == 0 or coef.shape[0] == coefs[i - 1].shape[1])
            for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True))
        )
        if not consistent:
            raise ValueError(
                "coefs_ and intercepts_ do not make a network: expected coefs_[i] of shape "
                "(n_in, n_out), intercepts_[i] of shape (n_out,), and coefs_[i + 1] with n_out "
                f"rows; got coefs_ of shapes {[coef.shape for coef in coefs]} and "
                f"intercepts_ of shapes {[intercept.shape for intercept in intercepts]}."
            )
        trained = vars(self).get("_network")
        layer_units = (coefs[0].shape[0], *(coef.shape[1] for coef in coefs))
        network = (
            replace(trained, layer_units=layer_units) if trained else self._network_of(layer_units)
        )
        dtype = np.result_type(*coefs, *intercepts)
        if dtype not in (np.float32, np.float64):
            dtype = np.float64
        params = network.pack(coefs, intercepts, dtype)
        if trained and trained.layer_units == layer_units:
            extras = (network.slopes(params), *network.norms(params))
            for name, views in zip(EXTRA_ATTRIBUTES, extras, strict=True):
                for view, values in zip(views, getattr(self, name), strict=True):
                    if view is not None:
                        view[...] = values
        return network, params

    def __getstate__(self):
        # The flat parameters once, instead of once more as views.
        state = dict(super().__getstate__())
        registered = packed()
        if registered is not None:
            state["_registered"] = registered
        if "_params" in state:
            state["_network"], state["_params"] = self._fitted_network()
            for name in ("coefs_", "intercepts_", *EXTRA_ATTRIBUTES, "_views", "_folded", "_kept"):
                state.pop(name, None)
        return state

    def __setstate__(self, state):
        state = dict(state)
        registered = state.pop("_registered", None)
        if registered is not None:
            unpack(registered)
        super().__setstate__(state)
        if "_params" in state:
            self._make_views()

    # ---- prediction and the objective ----------------------------------------------

    def _backend(self):
        return backends.get_backend(n_jobs=self.n_jobs)

    def _forward(self, X, link=True):
        """Outputs (n_samples, n_outputs); raw predictions with ``link=False``."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        network, params = self._fitted_network()
        X = check_prediction_data(self, X)
        if X.shape[1] != network.layer_units[0]:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{network.layer_units[0]} features as input, the rows of coefs_[0]."
            )
        check_representable(X, params.dtype, "X")
        check_known(network.activations, network.loss)
        kept = self._kept if params is vars(self).get("_params") else None
        if network.batch_norm:
            network, params = network.folded(params)
            if kept is not None:
                # In the place that kept predictions read from.
                self._folded[...] = params
                params = self._folded
        return self._backend().forward(network, params, X, link=link, kept=kept)

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
