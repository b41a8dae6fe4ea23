"""Predictions: the forward pass as a plan, which small predictions keep for the next one.

Making a plan takes about as long as predicting a hundred rows with a network of common size.
"""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.inputs import read
from fastnn.kernels.passes import Pass, chunk_rows

# A prediction is small if it has at most SMALL_ROWS rows, and SMALL_ELEMENTS in its widest layer.
SMALL_ROWS = 256
SMALL_ELEMENTS = 1 << 18
# At most MOST_PLANS plans are kept for a network.
MOST_PLANS = 8


def add_forward(pass_, link):
    """Add the groups of the forward pass to the plan of ``pass_`` and compile it."""
    network, plan, out = pass_.network, pass_.plan, pass_.out
    plan.group()
    plan.chain(tasks=1)
    pass_.add_begin()
    plan.group()
    plan.chain(row_block=pass_.row_block)
    pass_.add_forward()
    if link and network.out_activation != "identity":
        plan.add(
            catalog.link_unit(pass_.precision, network.out_activation),
            z_at=out,
            n=out.shape[1],
            moving=True,
            block=pass_.row_block,
        )
    return plan.compile()


def predict(network, machine, params, X, link):
    """Outputs (n_rows, n_outputs) for X."""
    n_rows = X.shape[0]
    out = np.zeros((n_rows, network.n_outputs), params.dtype)  # (n_rows, n_outputs)
    chunk = min(n_rows, chunk_rows(network))
    source = read(machine, network, X, chunk, params.dtype)
    pass_ = Pass(network, machine, machine.mirror(params), source, out=machine.mirror(out))
    add_forward(pass_, link)
    pace = pass_.pace()
    if pass_.is_packed:
        pace.run_once(pass_.preparation())
    pace.run(n_rows, chunk)
    machine.pull(out)
    return out


def is_small(network, X):
    """Whether a prediction for X is one to keep the plan of."""
    return (
        isinstance(X, np.ndarray)
        and len(X) <= SMALL_ROWS
        and len(X) * network.widest <= SMALL_ELEMENTS
    )


def predict_small(network, machine, params, X, link, plans):
    """Outputs (n_rows, n_outputs) for X, by a plan of the dict ``plans``.

    A thread that uses a plan takes it out of the dict meanwhile, so that no other uses it.
    """
    n_rows = len(X)
    capacity = 1 << (n_rows - 1).bit_length()
    key = (capacity, X.dtype.char, link, machine.n_threads, catalog.meaning(network))
    plan = plans.pop(key, None) or SmallPrediction(network, machine, params, X, capacity, link)
    outputs = plan(X)
    if len(plans) >= MOST_PLANS:
        plans.clear()
    plans[key] = plan
    return outputs


class SmallPrediction:
    """The forward pass of a network for up to ``capacity`` rows, of X's dtype."""

    def __init__(self, network, machine, params, X, capacity, link):
        self.machine, self.out = machine, np.zeros((capacity, network.n_outputs), params.dtype)
        source = read(machine, network, X, capacity, params.dtype, is_late=True)
        pass_ = Pass(network, machine, params, source, out=self.out)
        self.plan = add_forward(pass_, link)
        self.pace = pass_.pace()

    def __call__(self, X):
        _, address = self.machine.locate(X)
        self.plan.program.tell(
            source_at=address,
            row_stride=X.strides[0],
            column_stride=X.strides[1],
        )
        self.pace.run(len(X), len(X))
        return self.out[: len(X)].copy()
