"""PyTorch: an eager loop as its users write it, and a compiled step."""

import math
from functools import partial
from time import perf_counter

import numpy as np

from recipe import ALPHA, BETAS, EPSILON, Start, step_sizes


def prepare_eager(row, X, y, n_threads):
    """A plain loop over mini-batches, with PyTorch's fused Adam, its fastest."""
    import torch

    torch.set_num_threads(n_threads)
    return None, partial(train_eager, torch, row, X, y)


def train_eager(torch, row, X, y):
    start_point = Start(row, X, y)
    model = make_model(torch, start_point.coefs, start_point.intercepts)
    optimizer = make_adam(torch, model, row)
    inputs, targets, loss_function = data_and_loss(torch, X, y, start_point)

    start, power = perf_counter(), 1.0
    for _ in range(row.n_epochs):
        for batch in torch.from_numpy(start_point.next_order()).split(row.batch_size):
            optimizer.zero_grad()
            loss_function(model(inputs[batch]), targets[batch]).backward()
            # scikit-learn adds epsilon to sqrt(v) before the bias correction, PyTorch after.
            power *= BETAS[1]
            for group in optimizer.param_groups:
                group["eps"] = EPSILON / math.sqrt(1.0 - power)
            optimizer.step()
    seconds = perf_counter() - start

    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    coefs = [layer.weight.detach().numpy().T for layer in linear]
    return seconds, coefs, [layer.bias.detach().numpy() for layer in linear]


def data_and_loss(torch, X, y, start_point):
    """The data as tensors, and the loss function that goes with the number of outputs."""
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    if len(start_point.intercepts[-1]) == 1:
        targets = targets.to(inputs.dtype)[:, None]
        return inputs, targets, torch.nn.functional.binary_cross_entropy_with_logits
    return inputs, targets, torch.nn.functional.cross_entropy


def make_model(torch, coefs, intercepts):
    """ReLU layers with those weights."""
    modules = []
    for coef, intercept in zip(coefs, intercepts, strict=True):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *coef.shape)
        linear.weight = torch.nn.Parameter(torch.from_numpy(coef.T.copy()))
        linear.bias = torch.nn.Parameter(torch.from_numpy(intercept))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def make_adam(torch, model, row):
    """Adam with scikit-learn's defaults; L2 on the weights, not on the biases.

    scikit-learn divides alpha by the samples of the mini-batch.
    """
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": ALPHA / row.batch_size},
        {"params": biases, "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=row.learning_rate, betas=BETAS, eps=EPSILON, fused=True)


def prepare_compiled(row, X, y, n_threads):
    """The whole step in one graph: gathering, forward, loss, backward and Adam.

    An epoch's last mini-batch, where it is shorter, has a shape of its own and is compiled too.
    """
    import torch

    torch.set_num_threads(n_threads)
    torch._dynamo.reset()
    start_point = Start(row, X, y)
    inputs, targets, loss_function = data_and_loss(torch, X, y, start_point)
    step = torch.compile(make_step(torch, loss_function), dynamic=False, fullgraph=True)
    train = partial(train_compiled, torch, step, row, X, y, inputs, targets)
    one_epoch = perf_counter()
    train(n_epochs=1)
    compiling = perf_counter() - one_epoch
    # The rest, when the epoch itself is taken away.
    return compiling - train(n_epochs=1)[0], train


def make_step(torch, loss_function):
    """A step of training that changes weights, m and v in place."""

    def loss_of(params, x, t):
        coefs, intercepts = params
        for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
            x = torch.relu(torch.addmm(intercept, x, coef))
        return loss_function(torch.addmm(intercepts[-1], x, coefs[-1]), t)

    def step(params, m, v, inputs, targets, batch, rate):
        x, t = inputs[batch], targets[batch]
        gradients, loss = torch.func.grad_and_value(loss_of)(params, x, t)
        for kind, decay in ((0, ALPHA / len(x)), (1, 0.0)):
            for w, g, m_w, v_w in zip(params[kind], gradients[kind], m[kind], v[kind], strict=True):
                g = g + decay * w
                m_w.mul_(BETAS[0]).add_(g, alpha=1.0 - BETAS[0])
                v_w.mul_(BETAS[1]).addcmul_(g, g, value=1.0 - BETAS[1])
                w.sub_(rate * m_w / (v_w.sqrt() + EPSILON))
        return loss

    return step


def train_compiled(torch, step, row, X, y, inputs, targets, n_epochs=None):
    start_point = Start(row, X, y)
    n_epochs = n_epochs or row.n_epochs
    params = [
        [torch.from_numpy(array) for array in arrays]
        for arrays in (start_point.coefs, start_point.intercepts)
    ]
    m, v = ([[torch.zeros_like(p) for p in kind] for kind in params] for _ in range(2))
    n_steps = n_epochs * row.n_batches(len(X))
    rates = iter(torch.from_numpy(step_sizes(row.learning_rate, n_steps, X.dtype)))

    start = perf_counter()
    for _ in range(n_epochs):
        for batch in torch.from_numpy(start_point.next_order()).split(row.batch_size):
            step(params, m, v, inputs, targets, batch, next(rates))
    seconds = perf_counter() - start
    return seconds, *([np.asarray(p) for p in kind] for kind in params)
