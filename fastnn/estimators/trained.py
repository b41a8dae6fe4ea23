"""A trained network as one immutable object, and its form in a pickle. NumPy only."""

from dataclasses import dataclass, field, replace
from itertools import chain
from operator import is_

import numpy as np

from fastnn.estimators.pickles import FLOATS, check_names, checked_array
from fastnn.kernels.losses import LOSSES
from fastnn.network.multilayer import from_plain, to_plain
from fastnn.network.network import Network

# Fitted attributes that are lists with one view of the flat vector, or None, for each layer.
NORM_ATTRIBUTES = (
    "batch_norm_scale_", "batch_norm_shift_", "batch_norm_mean_", "batch_norm_var_",
)  # fmt: skip
EXTRA_ATTRIBUTES = ("activation_params_", *NORM_ATTRIBUTES)
VIEW_ATTRIBUTES = ("coefs_", "intercepts_", *EXTRA_ATTRIBUTES)


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network and its parameters: all that a prediction needs of a fitted estimator.

    An estimator exchanges it as a whole, so that a prediction in another thread sees one network
    or the other. Only the values of the parameters may change, where a user writes to ``coefs_``.

    Parameters
    ----------
    network : Network
    params : ndarray of shape (n_params,)
    precision_is_given : bool
        Whether the user chose the precision of the parameters. It is then that of predictions,
        too; otherwise float64 data is predicted in float64, as by scikit-learn.
    """

    network: Network
    params: np.ndarray
    precision_is_given: bool = False
    # The public fitted attributes by name. Lists are handed out as copies, which users may change.
    attributes: dict = field(init=False, repr=False)
    # Names of the lists that have any arrays, and these arrays.
    _view_names: tuple = field(init=False, repr=False)
    _views: tuple = field(init=False, repr=False)
    # Parameters in the form that predictions read, by dtype; and what the backend keeps with them.
    _derived: dict = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self):
        network, params = self.network, self.params
        views = (
            network.coefs(params),
            network.intercepts(params),
            network.slopes(params),
            *network.norms(params),
        )
        attributes = dict(zip(VIEW_ATTRIBUTES, map(tuple, views), strict=True))
        names = tuple(name for name, of_layers in attributes.items() if any_array(of_layers))
        attributes["n_layers_"] = len(network.layer_units)
        attributes["n_outputs_"] = network.n_outputs
        attributes["n_parameters_"] = network.n_trained
        attributes["out_activation_"] = network.out_activation
        # The way to set the attributes of a frozen dataclass that follow from the others.
        vars(self).update(
            attributes=attributes,
            _view_names=names,
            _views=tuple(chain.from_iterable(attributes[name] for name in names)),
        )

    def hand_out(self):
        """The public fitted attributes, a dict."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.attributes.items()
        }

    def is_that_of(self, attributes):
        """Whether these attributes of an estimator are still those that were handed out."""
        try:
            views = tuple(chain.from_iterable(map(attributes.__getitem__, self._view_names)))
        except (KeyError, TypeError):
            return False
        own = self.attributes
        return (
            len(views) == len(self._views)
            and all(map(is_, views, self._views))
            and attributes.get("out_activation_") == own["out_activation_"]
            and attributes.get("n_layers_") == own["n_layers_"]
            and attributes.get("n_outputs_") == own["n_outputs_"]
        )

    def for_prediction(self, dtype):
        """The network without batch normalisation, and its parameters in a precision.

        Returns
        -------
        network : Network
        params : ndarray of shape (n_params,)
        plans : dict
            What the backend keeps between predictions with these parameters.
        """
        network, params = self.network.folded(self.params)
        is_own = params is self.params and params.dtype == dtype
        derived = self._derived.get(dtype)
        if derived is None:
            place = params if is_own else params.astype(dtype)
            derived = self._derived.setdefault(dtype, (place, {}))
        place, plans = derived
        if not is_own:
            # In the place that small predictions read from; a user may have changed coefs_.
            place[...] = params
        return network, place, plans

    # ---- pickles -------------------------------------------------------------------

    def __reduce__(self):
        return TrainedNetwork.from_state, (self.to_state(),)

    def to_state(self):
        """The object as a dict of plain types and one array."""
        return {
            "network": to_plain(self.network),
            "out_activation": self.network.out_activation,
            "params": self.params,
            "precision_is_given": self.precision_is_given,
        }

    @classmethod
    def from_state(cls, state):
        """The object that `to_state` made this of.

        Raises
        ------
        ValueError
            If the parameters are not those of the network.
        """
        names = ("network", "out_activation", "params", "precision_is_given")
        check_names("the network", state, names)
        network = from_plain(state["network"])
        if network.loss not in LOSSES:
            # It was registered where the model was made, and may still be here.
            network = replace(network, link=str(state["out_activation"]))
        params = checked_array("params", state["params"], (network.n_params,), FLOATS)
        return cls(network, params, bool(state["precision_is_given"]))


def any_array(of_layers):
    """Whether any layer has an array."""
    return any(array is not None for array in of_layers)
