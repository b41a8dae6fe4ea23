"""Write the PyTorch numbers that the tests compare with; README.md says how to use it."""

import inspect
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

FOLDER = Path(__file__).parent
N_STEPS = 12

ELEMENTWISE_SHAPES = {"matrix": (2, 2), "vector": (5,)}
MUON_SHAPES = {"square": (2, 2), "tall": (3, 2), "wide": (2, 3)}
MOMENTS = {"betas": (0.9, 0.999), "eps": 1e-8}
# name: (class, hyperparameters)
ELEMENTWISE = {
    "sgd": ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": False}),
    "nesterov": ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.01, **MOMENTS}),
    # With this epsilon it does not matter whether it is added before or after the bias correction.
    "adam_tiny_epsilon": ("Adam", {"lr": 0.01, **MOMENTS, "eps": 1e-30}),
    "adamw": ("AdamW", {"lr": 0.01, **MOMENTS, "weight_decay": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01, **MOMENTS, "momentum_decay": 0.004, "weight_decay": 0.0}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}),
    "adagrad": ("Adagrad", {"lr": 0.01, "eps": 1e-10}),
    "adadelta": ("Adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
}

# Softplus by its formula everywhere: from the default threshold of 20 on, PyTorch returns x.
ACTIVATIONS = {
    "relu": (functional.relu, {}),
    "tanh": (torch.tanh, {}),
    "sigmoid": (torch.sigmoid, {}),
    "softplus": (functional.softplus, {"beta": 1.0, "threshold": 100.0}),
    "leaky_relu": (functional.leaky_relu, {"negative_slope": 0.01}),
    "prelu": (functional.prelu, {"weight": 0.25}),
    "elu": (functional.elu, {"alpha": 1.0}),
    "selu": (functional.selu, {}),
    "gelu": (functional.gelu, {"approximate": "none"}),
    "silu": (functional.silu, {}),
    "mish": (functional.mish, {}),
}
POSITIVE_POINTS = (
    *(1e-8, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0),
    *(2.5, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0),
)
LABEL_SMOOTHING = 0.1
HUBER_DELTA = 1.35


def short(array):
    """The array with four significant digits: what is drawn at random needs no more."""
    return np.vectorize(lambda value: float(f"{value:.4g}"))(array)


def tensor(array, *, requires_grad=False):
    return torch.tensor(np.asarray(array), dtype=torch.float64, requires_grad=requires_grad)


def lines(value, indent=""):
    """JSON with a line for each entry of an object that holds arrays and for each row of one."""
    if isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
        inner = indent + " "
        parts = [f"{inner}{json.dumps(key)}:{lines(item, inner)}" for key, item in value.items()]
        opening, closing = "{", indent + "}"
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        parts = [lines(item) if isinstance(item, dict) else plain(item) for item in value]
        opening, closing = "[]"
    else:
        return plain(value)
    return "\n".join((opening, ",\n".join(parts), closing))


def plain(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write(name, content):
    path = FOLDER / f"{name}.json"
    path.write_text(lines({"torch": torch.__version__, **content}) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


# --- optimizers ---


def draw_elementwise(rng):
    """Start and gradients, of scales from 1e-7 to 100, some exactly zero."""
    parameters, gradients = {}, {}
    for key, shape in ELEMENTWISE_SHAPES.items():
        scales = 10 ** rng.uniform(-7, 2, size=shape)
        drawn = rng.standard_normal((N_STEPS, *shape)) * scales
        drawn[rng.random(drawn.shape) < 0.15] = 0
        drawn[6] = 0
        parameters[key] = short(rng.standard_normal(shape))
        gradients[key] = short(drawn)
    # The gradient of one parameter is always zero, that of another is at first.
    gradients["vector"][:, 0] = 0
    gradients["vector"][:4, 1] = 0
    return parameters, gradients


def draw_muon(rng):
    """Start and gradients, of scales that differ from step to step, some exactly zero."""
    parameters, gradients = {}, {}
    for key, shape in MUON_SHAPES.items():
        scales = 10 ** rng.uniform(-2, 2, size=(N_STEPS, 1, 1))
        drawn = rng.standard_normal((N_STEPS, *shape)) * scales
        drawn[2, 0] = 0
        drawn[7] = 0
        parameters[key] = short(rng.standard_normal(shape))
        gradients[key] = short(drawn)
    return parameters, gradients


def torch_steps(name, hyperparameters, parameters, gradients):
    """The parameters after every step of an optimizer of PyTorch's."""
    cls = getattr(torch.optim, name)
    tensors = {key: tensor(start, requires_grad=True) for key, start in parameters.items()}
    known = inspect.signature(cls).parameters
    loops = {key: False for key in ("foreach", "fused") if key in known}
    optimizer = cls(tensors.values(), **hyperparameters, **loops)
    after = {key: [] for key in tensors}
    for step in range(N_STEPS):
        for key, parameter in tensors.items():
            parameter.grad = tensor(gradients[key][step])
        optimizer.step()
        for key, parameter in tensors.items():
            after[key].append(parameter.tolist())
    return after


def orthogonalized(matrix, coefficients, n_steps, eps):
    """Newton and Schulz's iteration, as in ``torch.optim.Muon`` but in float64."""
    a, b, c = coefficients
    x = matrix / max(np.linalg.norm(matrix), eps)
    if x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(n_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def muon_rate(lr, adjust_lr_fn, shape):
    n_rows, n_columns = shape
    if adjust_lr_fn == "match_rms_adamw":
        return lr * 0.2 * np.sqrt(max(n_rows, n_columns))
    return lr * np.sqrt(max(1, n_rows / n_columns))


def muon_steps_in_float64(hyperparameters, parameters, gradients):
    """The parameters after every step of Muon, with Nesterov's momentum."""
    lr, momentum = hyperparameters["lr"], hyperparameters["momentum"]
    after = {}
    for key, start in parameters.items():
        w, average = start.copy(), np.zeros_like(start)
        rate = muon_rate(lr, hyperparameters["adjust_lr_fn"], w.shape)
        after[key] = []
        for g in gradients[key]:
            average = momentum * average + (1 - momentum) * g
            ahead = momentum * average + (1 - momentum) * g
            direction = orthogonalized(
                ahead,
                hyperparameters["ns_coefficients"],
                hyperparameters["ns_steps"],
                hyperparameters["eps"],
            )
            w = w * (1 - lr * hyperparameters["weight_decay"]) - rate * direction
            after[key].append(w.tolist())
    return after


def muon_defaults():
    """The defaults of ``torch.optim.Muon``, of the class itself."""
    known = inspect.signature(torch.optim.Muon).parameters
    names = ("lr", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps")
    return {name: known[name].default for name in names}


def muon_cases(parameters, gradients):
    cases = {}
    for adjust_lr_fn in ("original", "match_rms_adamw"):
        for weight_decay in (0.0, 0.1):
            own = {"adjust_lr_fn": adjust_lr_fn, "weight_decay": weight_decay}
            hyperparameters = {**muon_defaults(), **own}
            computed = {
                "bfloat16": torch_steps("Muon", hyperparameters, parameters, gradients),
                "float64": muon_steps_in_float64(hyperparameters, parameters, gradients),
            }
            for precision, after in computed.items():
                cases[f"{adjust_lr_fn}_{weight_decay}_{precision}"] = {
                    "optimizer": "Muon",
                    "computed_by": "NumPy" if precision == "float64" else "torch",
                    "newton_schulz_precision": precision,
                    "hyperparameters": hyperparameters,
                    "after": after,
                }
    return cases


def part(parameters, gradients, cases):
    return {
        "parameters": {key: value.tolist() for key, value in parameters.items()},
        "gradients": {key: value.tolist() for key, value in gradients.items()},
        "cases": cases,
    }


def record_optimizers(rng):
    drawn = draw_elementwise(rng)
    cases = {
        name: {
            "optimizer": cls,
            "computed_by": "torch",
            "hyperparameters": hyperparameters,
            "after": torch_steps(cls, hyperparameters, *drawn),
        }
        for name, (cls, hyperparameters) in ELEMENTWISE.items()
    }
    for_muon = draw_muon(rng)
    muon = part(*for_muon, muon_cases(*for_muon))
    write("optimizers", {"elementwise": part(*drawn, cases), "muon": muon})


# --- the rest ---


def record_batch_norm(rng):
    n_features = 5
    layer = nn.BatchNorm1d(n_features, eps=1e-5, momentum=0.1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(tensor([1.5, -0.5, 0.25, 2.0, 1.0]))
        layer.bias.copy_(tensor([0.0, 1.0, -2.0, 0.5, 0.1]))
    content = {
        "momentum": layer.momentum,
        "eps": layer.eps,
        "gamma": layer.weight.tolist(),
        "beta": layer.bias.tolist(),
        "running_mean": layer.running_mean.tolist(),
        "running_var": layer.running_var.tolist(),
    }
    means, scales = np.array([0.0, 10.0, -3.0, 0.5, 2.0]), np.array([1.0, 0.5, 20.0, 0.01, 3.0])
    batches = [
        short(means + scales * rng.standard_normal((n_rows, n_features))) for n_rows in (8, 8, 3, 4)
    ]
    batches[2][:, 4] = 2.5  # a feature without variance
    content["batches"] = [train_batch_norm(layer, batch, rng) for batch in batches[:3]]
    layer.eval()
    output = layer(tensor(batches[3]))
    content["evaluation"] = {"input": batches[3].tolist(), "output": output.tolist()}
    write("batch_norm", content)


def train_batch_norm(layer, batch, rng):
    layer.zero_grad()
    x = tensor(batch, requires_grad=True)
    upstream = short(rng.standard_normal(batch.shape))
    output = layer(x)
    output.backward(tensor(upstream))
    return {
        "input": x.tolist(),
        "output": output.tolist(),
        "output_gradient": upstream.tolist(),
        "input_gradient": x.grad.tolist(),
        "gamma_gradient": layer.weight.grad.tolist(),
        "beta_gradient": layer.bias.grad.tolist(),
        "running_mean": layer.running_mean.tolist(),
        "running_var": layer.running_var.tolist(),
    }


def record_activations():
    points = [-x for x in reversed(POSITIVE_POINTS)] + [0.0, *POSITIVE_POINTS]
    activations = {}
    for name, (function, hyperparameters) in ACTIVATIONS.items():
        x = tensor(points, requires_grad=True)
        arguments = dict(hyperparameters)
        if "weight" in arguments:
            arguments["weight"] = tensor([arguments["weight"]])
        value = function(x, **arguments)
        value.sum().backward()
        activations[name] = {
            "hyperparameters": hyperparameters,
            "value": value.tolist(),
            "derivative": x.grad.tolist(),
        }
    write("activations", {"x": points, "activations": activations})


def factors(scheduler_class, n_factors, hyperparameters):
    """The rates of ``n_factors`` steps, where the maximum is 1."""
    optimizer = torch.optim.SGD([tensor([0.0], requires_grad=True)], lr=1.0)
    scheduler = scheduler_class(optimizer, **hyperparameters)
    rates = []
    for step in range(n_factors):
        rates.append(optimizer.param_groups[0]["lr"])
        if step < n_factors - 1:
            optimizer.step()
            scheduler.step()
    return {"hyperparameters": hyperparameters, "factors": rates}


def record_schedules():
    one_cycle = {
        "max_lr": 1.0,
        "total_steps": 50,
        "pct_start": 0.3,
        "anneal_strategy": "cos",
        "div_factor": 25.0,
        "final_div_factor": 1e4,
        "cycle_momentum": False,
    }
    cosine = {"T_max": 50, "eta_min": 0.0}
    content = {
        "one_cycle": factors(lr_scheduler.OneCycleLR, 50, one_cycle),
        "cosine_annealing": factors(lr_scheduler.CosineAnnealingLR, 51, cosine),
    }
    write("schedules", content)


def loss_case(loss, hyperparameters, inputs, targets, **more):
    """The mean loss and its gradient; targets are floats, or integers for classes."""
    x = tensor(inputs, requires_grad=True)
    value = loss(x, torch.tensor(targets))
    value.backward()
    return {
        "hyperparameters": hyperparameters,
        "inputs": x.tolist(),
        **more,
        "targets": targets.tolist(),
        "loss": value.item(),
        "gradient": x.grad.tolist(),
    }


def record_losses(rng):
    targets = short(rng.standard_normal((6, 2)))
    predictions = short(targets + 2 * rng.standard_normal((6, 2)))
    # A residual of zero, one at the bound, one that is large.
    targets[:3, 0] = 0
    predictions[:3, 0] = 0, -HUBER_DELTA, 1000
    regression = predictions, targets
    logits = short(3 * rng.standard_normal((6, 4)))
    logits[0] = 40, -40, 0, 10
    classes = np.array([1, 0, 2, 3, 0, 1])
    label_logits = short(3 * rng.standard_normal((6, 3)))
    label_logits[0] = 40, -40, 0
    labels = rng.integers(2, size=(6, 3)).astype(float)
    labels[0] = 0, 1, 1
    smoothed = labels * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 2
    smoothing = {"label_smoothing": LABEL_SMOOTHING}
    delta, beta = {"delta": HUBER_DELTA}, {"beta": HUBER_DELTA}
    losses = {
        "huber": loss_case(nn.HuberLoss(**delta), delta, *regression),
        "smooth_l1": loss_case(nn.SmoothL1Loss(**beta), beta, *regression),
        "l1": loss_case(nn.L1Loss(), {}, *regression),
        "cross_entropy": loss_case(nn.CrossEntropyLoss(**smoothing), smoothing, logits, classes),
        "bce_with_logits": loss_case(
            nn.BCEWithLogitsLoss(), smoothing, label_logits, smoothed, labels=labels.tolist()
        ),
    }
    write("losses", {"losses": losses})


def main():
    # The optimizers keep scalars such as NAdam's product of momenta in the default type.
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    record_optimizers(np.random.default_rng(0))
    record_batch_norm(np.random.default_rng(1))
    record_activations()
    record_schedules()
    record_losses(np.random.default_rng(2))


if __name__ == "__main__":
    main()
