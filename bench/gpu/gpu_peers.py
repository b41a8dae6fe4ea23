"""Steps of training of PyTorch and JAX on a GPU, the data resident: what fastnn is to be beside.

Every peer trains the same ReLU network by Adam on the same mini-batches of random data. PyTorch
runs eagerly, and as a CUDA graph of one step that finds its mini-batch by a counter on the device;
JAX compiles a whole epoch as one scan. ``python bench/gpu/gpu_peers.py out.json`` measures all.
"""

import json
import sys
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np

# The networks and mini-batches of bench/rows.py, with the steps that a run takes.
ROWS = {
    "XS": ((20, 32, 1), 32, 2000),
    "S": ((64, 100, 10), 200, 1000),
    "A": ((784, 100, 100, 10), 200, 1000),
    "M": ((784, 512, 256, 10), 256, 500),
    "L": ((1024, 2048, 2048, 10), 1024, 100),
}
N_RUNS = 7


def make_data(layer_units, batch_size):
    """Random rows, their targets and the order of a run's mini-batches."""
    rng = np.random.RandomState(0)
    n_rows = 20 * batch_size
    X = rng.normal(size=(n_rows, layer_units[0])).astype(np.float32)
    y = rng.randint(0, max(2, layer_units[-1]), n_rows)
    orders = np.concatenate([rng.permutation(n_rows).reshape(-1, batch_size) for _ in range(10)])
    weights = [
        rng.uniform(-1, 1, shape).astype(np.float32) * np.float32(np.sqrt(2 / sum(shape)))
        for shape in pairwise(layer_units)
    ]
    return X, y, orders, weights


def torch_model(torch, layer_units, weights):
    layers = []
    for weight in weights:
        linear = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T.copy()))
            linear.bias.zero_()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).cuda()


def torch_step(torch, name, *, capturable):
    """The step of a row, as a function of the rows of its mini-batch, and the data's orders."""
    layer_units, batch_size, _ = ROWS[name]
    X, y, orders, weights = make_data(layer_units, batch_size)
    model = torch_model(torch, layer_units, weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True, capturable=capturable)
    inputs, targets = torch.from_numpy(X).cuda(), torch.from_numpy(y).cuda()
    loss_function = torch.nn.functional.cross_entropy
    if layer_units[-1] == 1:
        targets = targets.float()[:, None]
        loss_function = torch.nn.functional.binary_cross_entropy_with_logits

    def step(batch):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(model(inputs[batch]), targets[batch])
        loss.backward()
        optimizer.step()
        return loss

    return step, torch.from_numpy(orders).cuda()


def torch_eager(name):
    import torch

    step, orders = torch_step(torch, name, capturable=False)
    n_steps = ROWS[name][2]

    def run():
        for i in range(n_steps):
            loss = step(orders[i % len(orders)])
        torch.cuda.synchronize()
        return float(loss.detach())

    return run


def torch_graph(name, tf32=False):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32
    step, orders = torch_step(torch, name, capturable=True)
    counter = torch.zeros(1, dtype=torch.int64, device="cuda")

    def counted():
        batch = orders.index_select(0, counter).flatten()
        loss = step(batch)
        counter.add_(1).remainder_(len(orders))
        return loss

    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            counted()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = counted()
    torch.backends.cuda.matmul.allow_tf32 = False
    n_steps = ROWS[name][2]

    def run():
        for _ in range(n_steps):
            graph.replay()
        torch.cuda.synchronize()
        return float(loss.detach())

    # The graph knows the memory of these, but does not keep it.
    run.owns = counted
    return run


def jax_scan(name, precision="highest"):
    import jax
    import jax.numpy as jnp

    layer_units, batch_size, n_steps = ROWS[name]
    X, y, orders, weights = make_data(layer_units, batch_size)
    repeats = -(-n_steps // len(orders))
    orders = jnp.asarray(np.tile(orders, (repeats, 1))[:n_steps].astype(np.int32))
    X, y = jnp.asarray(X), jnp.asarray(y)
    dot = partial(jnp.dot, precision=precision)

    def loss_of(params, x, t):
        for w, b in params[:-1]:
            x = jax.nn.relu(dot(x, w) + b)
        z = dot(x, params[-1][0]) + params[-1][1]
        if z.shape[1] == 1:
            return jnp.mean(jax.nn.softplus(z[:, 0]) - t * z[:, 0])
        chosen = jnp.take_along_axis(z, t[:, None], 1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - chosen)

    def step(carry, batch):
        params, m, v, power_1, power_2 = carry
        loss, gradient = jax.value_and_grad(loss_of)(params, X[batch], y[batch])
        power_1, power_2 = power_1 * 0.9, power_2 * 0.999
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, gradient)
        rate = 1e-4 * jnp.sqrt(1 - power_2) / (1 - power_1)
        params = jax.tree.map(lambda w, a, b: w - rate * a / (jnp.sqrt(b) + 1e-8), params, m, v)
        return (params, m, v, power_1, power_2), loss

    train = jax.jit(lambda carry: jax.lax.scan(step, carry, orders))
    params = [(jnp.asarray(w), jnp.zeros(w.shape[1])) for w in weights]
    zeros = jax.tree.map(jnp.zeros_like, params)
    carry = (params, zeros, zeros, jnp.float32(1), jnp.float32(1))

    def run():
        _, losses = train(carry)
        return float(losses[-1])

    return run


def measure(name):
    """Microseconds a step of each peer, medians of interleaved runs."""
    makers = {
        "torch eager": torch_eager,
        "torch graph": torch_graph,
        "torch graph tf32": partial(torch_graph, tf32=True),
        "jax scan": jax_scan,
        "jax scan tf32": partial(jax_scan, precision="default"),
    }
    runs, times = {}, {}
    for peer, make in makers.items():
        try:
            begin = perf_counter()
            runs[peer] = make(name)
            runs[peer]()
            times[peer] = {"first_s": round(perf_counter() - begin, 3), "us": []}
        except Exception as error:
            times[peer] = {"error": repr(error)[:300]}
            runs.pop(peer, None)
    for _ in range(N_RUNS):
        for peer, run in runs.items():
            begin = perf_counter()
            run()
            times[peer]["us"].append((perf_counter() - begin) / ROWS[name][2] * 1e6)
    for peer in runs:
        values = times[peer].pop("us")
        times[peer] |= {"us": round(median(values), 2), "best_us": round(min(values), 2)}
    return times


def main(path, *names):
    results = {}
    for name in names or ROWS:
        results[name] = measure(name)
        print(name, json.dumps(results[name]), flush=True)
        with open(path, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
