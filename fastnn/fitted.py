"""The fitted network of an estimator: flat parameters, their views, pickling and predictions."""

from dataclasses import replace
from itertools import chain

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnn import backends, config
from fastnn.registration import check_known, packed, unpack
from fastnn.validation import check_prediction_data, check_representable

# Lists of views of the flat vector, besides coefs_ and intercepts_.
NORM_ATTRIBUTES = (
    "batch_norm_scale_", "batch_norm_shift_", "batch_norm_mean_", "batch_norm_var_",
)  # fmt: skip
EXTRA_ATTRIBUTES = ("activation_params_", *NORM_ATTRIBUTES)


class FittedNetworkMixin:
    """What an estimator does with the network that it has; base.py trains it."""

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

    def _snapshot(self, network, params, named=True):
        """A fitted estimator of its own, as if training had ended with these parameters.

        Without names of features, which arrays do not have, if it is not to be ``named``.
        """
        snapshot = object.__new__(type(self))
        vars(snapshot).update(vars(self))
        if not named:
            vars(snapshot).pop("feature_names_in_", None)
        snapshot._set_network(network, params.copy())
        return snapshot

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
        state["_config"] = config.packed()
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
        config.unpack(state.pop("_config", None))
        super().__setstate__(state)
        if "_params" in state:
            self._make_views()

    # ---- prediction and the objective ----------------------------------------------

    def _backend(self):
        return backends.get_backend(
            config.effective("device", self.device), config.effective("n_jobs", self.n_jobs)
        )

    def _prediction_inputs(self, X):
        """The network that predicts, its parameters, X validated, and what the backend keeps."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        network, params = self._fitted_network()
        X = check_prediction_data(self, X, params.dtype)
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
        return network, params, X, kept

    def _forward(self, X, link=True):
        """Outputs (n_samples, n_outputs); raw predictions with ``link=False``."""
        network, params, X, kept = self._prediction_inputs(X)
        return self._backend().forward(network, params, X, link=link, kept=kept)
