"""Predictions: the forward pass as a plan, which small predictions keep for the next one.

Making a plan takes about as long as predicting a hundred rows with a network of common size.
"""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.cpu import threads
from fastnn.kernels.inputs import read
from fastnn.kernels.passes import Pass, chunk_rows

# A prediction is small if it has at most SMALL_ROWS rows, and SMALL_ELEMENTS in its widest layer.
SMALL_ROWS = 256
SMALL_ELEMENTS = 1 << 18
# At most MOST_KEPT plans are kept for a network.
MOST_KEPT = 8


def add_forward(shared, link):
    """Add the groups of the forward pass to the plan of ``shared`` and compile it."""
    network, plan, out = shared.network, shared.plan, shared.out
    plan.group()
    plan.chain(tasks=1)
    shared.add_begin()
    plan.group()
    plan.chain(row_block=shared.row_block)
    shared.add_forward()
    if link and network.out_activation != "identity":
        plan.add(
            catalog.link_unit(shared.precision, network.out_activation),
            z_at=out, n=out.shape[1], moving=True, block=shared.row_block,
        )  # fmt: skip
    return plan.compile()


def predict(network, params, X, link, n_threads):
    """Outputs (n_rows, n_outputs) for X."""
    n_rows = X.shape[0]
    out = np.zeros((n_rows, network.n_outputs), params.dtype)  # (n_rows, n_outputs)
    chunk = min(n_rows, chunk_rows(network))
    source = read(network, X, chunk, params.dtype)
    shared = Pass(network, params, source, n_threads=n_threads, out=out)
    add_forward(shared, link)
    pace = shared.pace()
    if shared.is_packed:
        shared.preparation().run(1, 1, (0, 1), pace.team)
    pace.run(n_rows, chunk)
    return out


def is_small(network, X):
    """Whether a prediction for X is one to keep the plan of."""
    return (
        isinstance(X, np.ndarray)
        and len(X) <= SMALL_ROWS
        and len(X) * network.widest <= SMALL_ELEMENTS
    )


def predict_small(network, params, X, link, n_threads, kept):
    """Outputs (n_rows, n_outputs) for X, by a plan of the dict ``kept``.

    A thread that uses a plan takes it out of the dict meanwhile, so that no other uses it.
    """
    n_rows = len(X)
    capacity = 1 << (n_rows - 1).bit_length()
    key = (capacity, X.dtype.char, link, n_threads, catalog.meaning(network))
    plan = kept.pop(key, None) or KeptPrediction(network, params, X, capacity, link, n_threads)
    outputs = plan(X)
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = plan
    return outputs


class KeptPrediction:
    """The forward pass of a network for up to ``capacity`` rows, of X's dtype."""

    def __init__(self, network, params, X, capacity, link, n_threads):
        self.out = np.zeros((capacity, network.n_outputs), params.dtype)
        source = read(network, X, capacity, params.dtype, is_late=True)
        shared = Pass(network, params, source, n_threads=n_threads, out=self.out)
        self.plan = add_forward(shared, link)
        self.pace = shared.pace()

    def __call__(self, X):
        self.plan.tell(
            source_at=threads.address(X),
            row_stride=X.strides[0],
            column_stride=X.strides[1],
        )
        self.pace.run(len(X), len(X))
        return self.out[: len(X)].copy()
