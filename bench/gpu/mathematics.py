"""Whether a GPU gives the CPU's bits: every activation, loss, optimizer and elementary function.

Each runs on random numbers of many sizes and on special ones, compiled for both devices from the
same plain functions, without contraction on the GPU.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter

import numpy as np
import seam
from numba import cuda, njit

from fastnn.kernels import catalog, elementary
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu.compiler import COMPILER
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS

PRECISIONS = ("float32", "float64")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 1e30, -1e30, 88.7, -86.6)


def numbers(precision, seed):
    """100,000 numbers of many sizes, subnormal ones too, and special ones."""
    rng = np.random.RandomState(seed)
    sizes = 10.0 ** rng.uniform(-4, 2, 99_900)
    x = np.concatenate([sizes * rng.choice([-1, 1], sizes.size), np.resize(SPECIAL, 60)])
    tiny = rng.uniform(-40, 40, 40) * np.finfo(precision).smallest_subnormal
    return rng.permutation(np.concatenate([x, tiny])).astype(precision)


def loops(function, n_arguments):
    """The same loop for the CPU and the GPU."""
    arguments = ("x[i]", "y[i]", "out.dtype.type(1.5)")[:n_arguments]
    scope = {"function": function, "cuda": cuda}
    for name, indices in (
        ("on_cpu", "range(out.shape[0])"),
        ("on_gpu", "range(cuda.grid(1), out.shape[0], cuda.gridsize(1))"),
    ):
        line = f"out[i] = function({', '.join(arguments)})"
        exec(f"def {name}(out, x, y):\n    for i in {indices}:\n        {line}", scope)
    return scope["on_cpu"], scope["on_gpu"]


def compare(cpu_function, gpu_function, n_arguments, precision):
    """How many of the results differ in bits, NaNs counted as equal to each other."""
    x, y = numbers(precision, 0), np.abs(numbers(precision, 1))
    expected, target = np.empty_like(x), cuda.device_array_like(x)
    njit(error_model="numpy")(loops(cpu_function, n_arguments)[0])(expected, x, y)
    begin = perf_counter()
    with seam.exact():
        kernel = seam.kernel(loops(gpu_function, n_arguments)[1])
        kernel[132, 256](target, cuda.to_device(x), cuda.to_device(y))
    seconds = perf_counter() - begin
    got = target.copy_to_host()
    word = np.dtype(precision).str.replace("f", "i")
    differ = (got.view(word) != expected.view(word)) & ~(np.isnan(got) & np.isnan(expected))
    return {
        "differ": int(differ.sum()),
        "examples": [
            [float(v) for v in (x[i], y[i], expected[i], got[i])]
            for i in np.flatnonzero(differ)[:3]
        ],
        "compile_s": round(seconds, 2),
    }


def elementwise():
    """Name, function and arguments of all functions of numbers."""
    for name, entry in ACTIVATIONS.items():
        yield f"{name} forward", entry.forward, entry.forward.__code__.co_argcount
        yield f"{name} gradient", entry.gradient, entry.gradient.__code__.co_argcount
    for name, loss in LOSSES.items():
        if not loss.coupled:
            yield f"{name} value", loss.value, 3
            yield f"{name} gradient", loss.gradient, 3


def compare_optimizer(name, precision):
    """Ten steps of a rule on both devices: parameters and slots that differ in bits."""
    rule = OPTIMIZERS[name]
    real = np.dtype(precision).type
    Slots = rule.slots
    n_slots = len(Slots._fields)
    settings, scalars = rule.settings(), rule.scalars()
    coefficients = []
    for _ in range(10):
        scalars, c = rule.begin(1e-2, settings, scalars)
        coefficients.append(np.array(c, dtype=real))
    update_cpu = catalog.bound(rule.update)(COMPILER, precision)
    update_gpu = seam.bound(rule.update, precision)
    Coefficients = rule.coefficients
    text = (
        "def {0}(w, g, s, c):\n    for i in {1}:\n"
        "        w[i], slots = update(w[i], g[i], Slots({2}), Coefficients({3}))\n{4}"
    )
    n = len(Coefficients._fields)
    parts = (
        ", ".join(f"s[{k}, i]" for k in range(n_slots)), ", ".join(f"c[{k}]" for k in range(n)),
        "".join(f"        s[{k}, i] = slots[{k}]\n" for k in range(n_slots)),
    )  # fmt: skip
    functions = []
    for update, loop in (
        (update_cpu, "range(w.shape[0])"),
        (update_gpu, "range(cuda.grid(1), w.shape[0], cuda.gridsize(1))"),
    ):
        scope = {"update": update, "Slots": Slots, "Coefficients": Coefficients, "cuda": cuda}
        exec(text.format("step", loop, *parts), scope)
        functions.append(scope["step"])
    w = numbers(precision, 0)
    w = w[np.isfinite(w)]
    s = np.zeros((n_slots, len(w)), real)
    w_gpu, s_gpu = cuda.to_device(w), cuda.to_device(s)
    on_cpu = njit(error_model="numpy")(functions[0])
    rng = np.random.RandomState(2)
    with seam.exact():
        on_gpu = seam.kernel(functions[1])
        for c in coefficients:
            g = (w * rng.normal(size=len(w))).astype(real)
            on_cpu(w, g, s, c)
            on_gpu[132, 256](w_gpu, cuda.to_device(g), s_gpu, cuda.to_device(c))
    word = np.dtype(precision).str.replace("f", "i")
    w_gpu, s_gpu = w_gpu.copy_to_host(), s_gpu.copy_to_host()
    nan = np.isnan(w) & np.isnan(w_gpu)
    return {
        "differ": int(((w.view(word) != w_gpu.view(word)) & ~nan).sum()),
        "slots differ": int(((s.view(word) != s_gpu.view(word)) & ~nan).sum()),
    }


def tasks():
    """The name of each comparison, its function and arguments."""
    for precision in PRECISIONS:
        for function in elementary.FUNCTIONS:
            yield f"{function.__name__} {precision}", ("elementary", function.__name__, precision)
        for name, _, _ in elementwise():
            yield f"{name} {precision}", ("elementwise", name, precision)
        for name in OPTIMIZERS:
            yield f"{name} {precision}", ("optimizer", name, precision)


def carry_out(task):
    kind, name, precision = task
    try:
        if kind == "optimizer":
            return compare_optimizer(name, precision)
        if kind == "elementary":
            gpu, cpu = (
                seam.mathematics(precision)[name],
                elementary.bindings(COMPILER, precision)[name],
            )
            return compare(cpu, gpu, 1, precision)
        function, n = next((f, n) for own, f, n in elementwise() if own == name)
        gpu, cpu = seam.bound(function, precision), catalog.bound(function)(COMPILER, precision)
        return compare(cpu, gpu, n, precision)
    except Exception as error:
        return {"error": repr(error)[:500]}


def main(path):
    names, arguments = zip(*tasks(), strict=True)
    with ProcessPoolExecutor(12, mp_context=get_context("spawn")) as pool:
        results = dict(zip(names, pool.map(carry_out, arguments), strict=True))
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
    wrong = {key: value for key, value in results.items() if value.get("differ") != 0}
    print(len(results), "functions;", len(wrong), "not equal:", json.dumps(wrong, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
