"""The fitted network of an estimator: its attributes, its pickles, and predictions by it."""

from dataclasses import replace
from functools import wraps

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from fastnn import _version, backends
from fastnn.estimators import config
from fastnn.estimators.carried import take_over, taken_along
from fastnn.estimators.checks import check_prediction_data, check_representable, kernel_ready
from fastnn.estimators.concurrency import AtOnceMixin
from fastnn.estimators.parameters import check_activation
from fastnn.estimators.pickles import training_state_from, warn_of_another_version
from fastnn.estimators.registration import check_known
from fastnn.estimators.trained import EXTRA_ATTRIBUTES, TrainedNetwork
from fastnn.kernels.losses import LINKS
from fastnn.network.multilayer import multilayer_perceptron


def _completed(set_state):
    """A subclass's ``__setstate__`` that may have put a pickle's state in place as it is."""

    @wraps(set_state)
    def __setstate__(self, state):
        set_state(self, state)
        attributes = vars(self)
        if isinstance(attributes.get("_trained"), dict):
            state = attributes.copy()
            attributes.clear()
            FittedNetworkMixin.__setstate__(self, state)

    return __setstate__


class FittedNetworkMixin(AtOnceMixin):
    """The methods by which an estimator has and uses its network; base.py trains it.

    The attribute ``_trained`` has the network as it was trained, and the public attributes show it.
    Where a user has changed these, they count: the network is then put together from them anew for
    every use, so that later changes to them count, too.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__setstate__" in vars(cls):
            cls.__setstate__ = _completed(cls.__setstate__)

    # ---- the network and its attributes --------------------------------------------

    def _snapshot(self, network, params, named=True):
        """A fitted estimator of its own, as if training had ended with these parameters.

        Without names of features, which arrays do not have, if it is not to be ``named``.
        """
        snapshot = self._as_of_now()
        if not named:
            vars(snapshot).pop("feature_names_in_", None)
        snapshot._set_network(network, params.copy())
        return snapshot

    def _set_network(self, network, params):
        """Take a trained network: hand out ``coefs_`` and ``intercepts_`` as views."""
        precision_is_given = config.effective("dtype", self.dtype) != "auto"
        self._set_trained(TrainedNetwork(network, params, precision_is_given))

    def _set_trained(self, trained):
        # A subclass may have a property in the place of an attribute.
        for name, value in (trained.hand_out() | {"_trained": trained}).items():
            setattr(self, name, value)

    def _fitted_network(self):
        """The network and its flat parameters, as the public attributes say."""
        trained = self._trained_network()
        return trained.network, trained.params

    def _trained_network(self):
        """The `TrainedNetwork` that the public attributes describe."""
        trained = vars(self).get("_trained")
        if (
            trained is not None
            and trained.is_that_of(vars(self))
            and _same_activation(self.activation, trained.network)
        ):
            return trained
        return self._put_together(trained)

    def _put_together(self, trained):
        """The `TrainedNetwork` of attributes that a user has set, with what is left of another."""
        n_layers = vars(self).get("n_layers_", len(self.coefs_) + 1)
        coefs, intercepts = _checked_layers(
            self.coefs_[: n_layers - 1], self.intercepts_[: n_layers - 1]
        )
        layer_units = (coefs[0].shape[0], *(coef.shape[1] for coef in coefs))
        activation = check_activation(self.activation, len(layer_units) - 2)
        if trained is None:
            network = multilayer_perceptron(layer_units, activation, *self._network_loss())
        else:
            before = trained.network
            network = multilayer_perceptron(
                layer_units, activation, before.loss, before.loss_parameter, before.batch_norm
            )
        network = replace(network, link=_link(vars(self).get("out_activation_"), network))
        params = network.pack(coefs, intercepts, _precision(coefs, intercepts))
        if trained is not None and trained.network.layer_units == layer_units:
            self._copy_extras(network, params)
        return TrainedNetwork(network, params, trained is not None and trained.precision_is_given)

    def _copy_extras(self, network, params):
        """Take what is neither a weight nor a bias from the attributes, where they have it."""
        extras = (network.slopes(params), *network.norms(params))
        for name, views in zip(EXTRA_ATTRIBUTES, extras, strict=True):
            for view, values in zip(views, getattr(self, name), strict=True):
                if view is not None and values is not None:
                    view[...] = values

    # ---- pickles -------------------------------------------------------------------

    def __getstate__(self):
        moment = self._as_of_now()
        state = dict(super(FittedNetworkMixin, moment).__getstate__())
        trained = state.get("_trained")
        if trained is not None:
            trained = moment._compact(state)
        network = None if trained is None else trained.network
        registered = taken_along(moment.activation, moment.loss, network)
        if registered is not None:
            state["_registered"] = registered
        return state | {"_config": config.taken_along(), "_fastnn_version": _version.__version__}

    def _compact(self, state):
        """Make what a state has of the network plain, and the parameters one vector, not views."""
        try:
            trained = self._trained_network()
        except (TypeError, ValueError):
            # A user has set what makes no network; it stays beside the one that was trained.
            trained = self._trained
        else:
            for name in trained.attributes:
                state.pop(name, None)
        state["_trained"] = trained.to_state()
        training = state.pop("_training_state", None)
        # The state of another network, in whose place a user has put this one, is of no use.
        if training is not None and training.params.size == trained.network.n_params:
            state["_training_state"] = training.to_plain(trained.params)
        return trained

    def __setstate__(self, state):
        state = dict(state)
        warn_of_another_version(type(self).__name__, state.pop("_fastnn_version", None))
        take_over(state.pop("_registered", None))
        config.take_over(state.pop("_config", None))
        trained = state.pop("_trained", None)
        if trained is not None:
            # Pickles of a subclass may have the attributes as they are.
            if isinstance(trained, dict):
                trained = TrainedNetwork.from_state(trained)
            training = state.get("_training_state")
            if isinstance(training, dict):
                state["_training_state"] = training_state_from(training, trained.params)
            self._set_trained(trained)
        super().__setstate__(state)

    # ---- predictions ---------------------------------------------------------------

    def _backend(self, trains=False):
        return backends.get_backend(
            config.effective("device", self.device),
            config.effective("n_jobs", self.n_jobs),
            trains=trains,
        )

    def _prediction_inputs(self, X, check_input=True):
        """The network that predicts, its parameters, X validated, and what the backend keeps.

        Without ``check_input``, X is an array or sparse matrix of numbers that is known to be good.
        """
        if "coefs_" not in vars(self):
            check_is_fitted(self)
        trained = self._trained_network()
        of_weights = trained.params.dtype
        X = check_prediction_data(self, X, of_weights) if check_input else _as_floats(X)
        n_features = trained.network.n_inputs
        if X.shape[1] != n_features:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{n_features} features as input, the rows of coefs_[0]."
            )
        check_known(trained.network.activations, trained.network.loss)
        dtype = of_weights
        if not trained.precision_is_given and X.dtype.char == "d":
            dtype = np.dtype(np.float64)
        check_representable(X, dtype, "X")
        network, params, plans = trained.for_prediction(dtype)
        return network, params, X, plans

    def _forward(self, X, link=True, check_input=True):
        """Outputs (n_samples, n_outputs); raw predictions with ``link=False``."""
        network, params, X, plans = self._prediction_inputs(X, check_input)
        return self._backend().forward(network, params, X, link=link, plans=plans)


def _same_activation(activation, network):
    """Whether the parameter ``activation`` is still that of the network."""
    names = network.activations
    if isinstance(activation, str):
        return names == (activation,) * len(names)
    return np.iterable(activation) and tuple(activation) == names


def _checked_layers(coefs, intercepts):
    """Weights (n_in, n_out) and biases (n_out,) of each layer, from what a user set."""
    coefs = [coef.toarray() if sparse.issparse(coef) else np.asarray(coef) for coef in coefs]
    given = [np.asarray(intercept) for intercept in intercepts]
    try:
        if not len(coefs) == len(given) > 0:
            raise ValueError
        for i, coef in enumerate(coefs):
            if coef.ndim != 2 or (i > 0 and coef.shape[0] != coefs[i - 1].shape[1]):
                raise ValueError
        # As in scikit-learn, they may have any shape that can be added to the rows of a product.
        intercepts = [
            np.broadcast_to(intercept, (1, coef.shape[1]))[0]
            for coef, intercept in zip(coefs, given, strict=True)
        ]
    except ValueError:
        raise ValueError(
            "coefs_ and intercepts_ do not make a network: expected coefs_[i] of shape "
            "(n_in, n_out), intercepts_[i] of shape (n_out,), and coefs_[i + 1] with n_out "
            f"rows; got coefs_ of shapes {[coef.shape for coef in coefs]} and "
            f"intercepts_ of shapes {[intercept.shape for intercept in given]}."
        ) from None
    return coefs, intercepts


def _precision(coefs, intercepts):
    """The precision of a network with these weights and biases."""
    dtype = np.result_type(*coefs, *intercepts)
    return np.float32 if dtype in (np.float16, np.float32) else np.float64


def _link(out_activation, network):
    """The ``link`` of a network whose ``out_activation_`` a user may have set."""
    if out_activation is None or out_activation == network.out_activation:
        return None
    if out_activation not in (*LINKS, "softmax"):
        raise ValueError(
            f"out_activation_ must be one of {sorted((*LINKS, 'softmax'))}, got {out_activation!r}."
        )
    return out_activation


def _as_floats(X):
    """X, known to be numbers, in a form that the kernels can read."""
    if X.dtype.char not in "fd":
        X = X.astype(np.float64)
    return kernel_ready(X)
