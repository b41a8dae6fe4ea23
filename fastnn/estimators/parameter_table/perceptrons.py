"""The parameters of Rosenblatt's perceptron, in the order of its constructor."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from fastnn.estimators.parameter_table.parameter import PERCEPTRON, Parameter

PERCEPTRONS = []


def _add(name, **fields):
    """Add a parameter of the perceptron."""
    PERCEPTRONS.append(Parameter(name, estimators=(PERCEPTRON,), **fields))


_add(
    "fit_intercept",
    type="bool",
    default=True,
    constraint=["boolean"],
    doc="""
    Whether the intercept ``w0`` is learned. Otherwise it stays what it began with, 0 or
    ``intercept_init``.
    """,
)

_add(
    "max_iter",
    type="int",
    default=1000,
    constraint=[Interval(Integral, 1, None, closed="left")],
    doc="""
    The most epochs of ``fit``.
    """,
)

_add(
    "shuffle",
    type="bool",
    default=True,
    constraint=["boolean"],
    doc="""
    Whether to present the samples of each epoch in a new random order. Otherwise they
    come in the order of X.
    """,
)

_add(
    "verbose",
    type="int",
    default=0,
    constraint=["verbose"],
    doc="""
    Whether to print the errors of each epoch.
    """,
)

_add(
    "eta0",
    type="float",
    default=1.0,
    constraint=[Interval(Real, 0, None, closed="neither")],
    doc="""
    The constant by which the steps are multiplied. Where the weights begin at zero it
    scales them, and changes no prediction.
    """,
)

_add(
    "random_state",
    type="int, RandomState instance or None",
    default=0,
    constraint=["random_state"],
    doc="""
    Determines the shuffling. With an int, every call to ``fit`` and ``partial_fit`` begins
    with the same draws.
    """,
)

_add(
    "warm_start",
    type="bool",
    default=False,
    constraint=["boolean"],
    doc="""
    Whether ``fit`` goes on from the weights of the last fit instead of zero.
    """,
)
