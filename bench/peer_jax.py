"""JAX: an epoch as one compiled call, a scan over its mini-batches."""

import os
from functools import partial
from time import perf_counter

import numpy as np

from recipe import ALPHA, BETAS, EPSILON, Start, step_sizes

# Steps of the scan's body; more is a little faster for the smallest networks.
UNROLL = 4


def prepare(row, X, y, n_threads):
    """Data on the device, and the epoch compiled for its shapes."""
    # JAX has as many threads as the process has cores when it starts.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])
    import jax

    jax.config.update("jax_enable_x64", X.dtype == np.float64)
    inputs, targets = jax.device_put((X, y.astype(np.int32)))
    start = perf_counter()
    epoch = jax.jit(make_epoch(jax), donate_argnums=0)
    arguments = first_arguments(jax, row, X, y)
    compiled = epoch.lower(arguments[0], inputs, targets, *arguments[1:]).compile()
    seconds = perf_counter() - start
    return seconds, partial(train, jax, compiled, row, X, y, inputs, targets)


def first_arguments(jax, row, X, y):
    """An epoch's arguments but for the data."""
    start_point = Start(row, X, y)
    rates = step_sizes(row.learning_rate, row.n_batches(len(X)), X.dtype)
    return initial_state(jax, start_point), *split_order(start_point, row.batch_size), rates


def initial_state(jax, start_point):
    """Weights, m and v, in buffers of their own that an epoch may overwrite."""
    params = (start_point.coefs, start_point.intercepts)
    zeros = jax.tree.map(np.zeros_like, params)
    return jax.tree.map(lambda array: jax.numpy.array(array), (params, zeros, zeros))


def split_order(start_point, batch_size):
    """The next epoch's whole mini-batches (n_batches, batch_size), and the rest of its rows."""
    order = start_point.next_order().astype(np.int32)
    n_whole = len(order) // batch_size * batch_size
    return order[:n_whole].reshape(-1, batch_size), order[n_whole:]


def make_epoch(jax):
    """An epoch: state, data, order and rates to state and losses."""
    step = make_step(jax)

    def epoch(state, inputs, targets, batches, rest, rates):
        def body(state, batch_and_rate):
            return step(state, inputs, targets, *batch_and_rate)

        n_batches = len(batches)
        unroll = min(UNROLL, n_batches)
        state, losses = jax.lax.scan(body, state, (batches, rates[:n_batches]), unroll=unroll)
        total = losses.sum() * batches.shape[1]
        if len(rest):
            state, loss = step(state, inputs, targets, rest, rates[-1])
            total += loss * len(rest)
        return state, total / len(inputs)

    return epoch


def make_step(jax):
    """A step of training: state, data, rows and rate to state and loss."""
    jnp = jax.numpy

    def loss_of(params, x, t):
        coefs, intercepts = params
        for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
            x = jnp.maximum(x @ coef + intercept, 0)
        z = x @ coefs[-1] + intercepts[-1]
        if z.shape[1] == 1:
            return jnp.mean(jnp.logaddexp(0, z[:, 0]) - t * z[:, 0])
        # A comparison with all classes is much faster than picking one: its gradient is no scatter.
        is_target = t[:, None] == jnp.arange(z.shape[1])
        target = jnp.where(is_target, z, 0).sum(axis=1)
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - target)

    def updated(w, g, m, v, rate):
        m = BETAS[0] * m + (1.0 - BETAS[0]) * g
        v = BETAS[1] * v + (1.0 - BETAS[1]) * g * g
        return w - rate * m / (jnp.sqrt(v) + EPSILON), m, v

    def step(state, inputs, targets, batch, rate):
        params, m, v = state
        # The order is a permutation: no row lies outside.
        x = inputs.at[batch].get(mode="promise_in_bounds")
        t = targets.at[batch].get(mode="promise_in_bounds")
        loss, (coef_gradients, intercept_gradients) = jax.value_and_grad(loss_of)(params, x, t)
        decay = ALPHA / len(batch)
        gradients = (
            [g + decay * w for g, w in zip(coef_gradients, params[0], strict=True)],
            intercept_gradients,
        )
        triples = jax.tree.map(partial(updated, rate=rate), params, gradients, m, v)
        return jax.tree.transpose(jax.tree.structure(params), None, triples), loss

    return step


def train(jax, compiled, row, X, y, inputs, targets):
    start_point = Start(row, X, y)
    state = initial_state(jax, start_point)
    n_batches = row.n_batches(len(X))
    rates = step_sizes(row.learning_rate, row.n_epochs * n_batches, X.dtype)
    rates = rates.reshape(row.n_epochs, n_batches)

    start = perf_counter()
    for epoch in range(row.n_epochs):
        order = split_order(start_point, row.batch_size)
        state, _ = compiled(state, inputs, targets, *order, rates[epoch])
    jax.block_until_ready(state)
    seconds = perf_counter() - start
    return seconds, *jax.tree.map(np.asarray, state[0])
