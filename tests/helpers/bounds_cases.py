"""A program for test_bounds.py: random calls whose arrays all lie between forbidden pages.

    python bounds_cases.py SEED KIND=COUNT ...

Each call is made three times: as usual, on contiguous arrays; then with the end and with the
beginning of every array at a forbidden page, X laid out as the case says. All three have the same
bits. A case is printed before it runs, as an access beyond an array ends the program.
"""

import json
import sys
import warnings

import numpy as np
from scipy import sparse

import fastnn
from fastnn.kernels import passes
from fastnn.kernels.cpu import dense, jit, matmul, pace, simd
from fastnn.kernels.cpu.matmul import Factor, Matrix
from fastnn.kernels.units import ADD, BIAS, ZERO
from guard_pages import PAGE, allocate, guard_pages

# Around what the kernels handle by one vector, tile, block or segment.
WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 47, 64, 65)
ROWS = (1, 2, 3, 5, 6, 7, 8, 9, 13, 16, 31, 33, 48, 95, 96, 97, 103, 104, 105, 191, 192, 193, 230)
MANY_ROWS = (256, 257, 311, 512, 513)
LAYOUTS = (
    "C", "F", "rows apart", "columns apart", "rows reversed", "columns reversed", "all reversed",
    "one row", "one column", "one number", "huge", "huge, reversed",
)  # fmt: skip
SPARSE_LAYOUTS = ("int32", "int64", "unsorted", "duplicates", "explicit zeros", "csc", "no entries")
# Solvers and activations that most fits have; the others come in the longer run.
SOLVERS = ("adam", "sgd", "lbfgs")
ACTIVATIONS = ("relu", "tanh")
PROBLEMS = ("multiclass", "regression", "multioutput")


def one_of(rng, values):
    return values[rng.integers(len(values))]


def chance(rng, probability):
    return bool(rng.random() < probability)


# ---- the layouts of X ------------------------------------------------------------------


def laid_out(values, layout, at_end):
    """The same values with the strides of a layout, between forbidden pages."""
    n, width = values.shape
    size = values.itemsize
    row, column = {
        "C": (width * size, size),
        "F": (size, n * size),
        "rows apart": ((width + 3) * size, size),
        "columns apart": (3 * width * size, 3 * size),
        "rows reversed": (-width * size, size),
        "columns reversed": (width * size, -size),
        "all reversed": (-size, -n * size),
        "one row": (0, size),
        "one column": (size, 0),
        "one number": (0, 0),
        "huge": (-(-width * size // PAGE) * PAGE + 8 * PAGE, size),
        "huge, reversed": (-(-(-width * size // PAGE) * PAGE + (1 << 23)), size),
    }[layout]
    array = allocate(values.shape, values.dtype, (row, column), at_end=at_end)
    array[...] = values
    return array


def dense_values(rng, n, width, dtype, layout):
    """Values (n, width) that a layout can have."""
    shape = {"one row": (1, width), "one column": (n, 1), "one number": (1, 1)}.get(
        layout, (n, width)
    )
    values = rng.standard_normal(shape)
    if np.dtype(dtype).kind not in "f":
        values = np.clip(np.round(3 * values) + 3, 0, 9)
    return np.ascontiguousarray(np.broadcast_to(values, (n, width))).astype(dtype)


def sparse_pair(rng, n, width, dtype, layout):
    """A canonical CSR matrix, and the same in another form."""
    density = 0.0 if layout == "no entries" else 0.3
    values = rng.standard_normal((n, width)) * (rng.random((n, width)) < density)
    plain = sparse.csr_array(values.astype(dtype))
    if layout == "csc":
        return plain, sparse.csc_array(plain)
    other = plain.copy()
    if layout == "int64":
        other.indices, other.indptr = other.indices.astype(np.int64), other.indptr.astype(np.int64)
    elif layout == "unsorted":
        for start, stop in zip(other.indptr[:-1], other.indptr[1:], strict=True):
            other.indices[start:stop] = other.indices[start:stop][::-1].copy()
            other.data[start:stop] = other.data[start:stop][::-1].copy()
        other.has_sorted_indices = False
    elif layout == "duplicates":
        # Halves of every number, which add up exactly.
        other = sparse.csr_array(
            (np.repeat(plain.data / 2, 2), np.repeat(plain.indices, 2), 2 * plain.indptr),
            shape=plain.shape,
        )
    elif layout == "explicit zeros":
        plain.data[::3] = 0
        other = plain.copy()
    return plain, other


# ---- fits and predictions --------------------------------------------------------------


def width_of(rng):
    """A width; often 1, which has ways of its own."""
    return 1 if chance(rng, 0.2) else int(one_of(rng, WIDTHS))


def any_case(rng):
    """A fit with whatever there is."""
    return fit_case(rng, everything=True)


def fit_case(rng, everything=False):
    """Draw the description of a fit, as plain data."""
    n = int(one_of(rng, MANY_ROWS if chance(rng, 0.25) else ROWS))
    width = 515 if chance(rng, 0.03) else width_of(rng)
    hidden = [width_of(rng) for _ in range(rng.integers(0, 4))]
    is_sparse = chance(rng, 0.2)
    solver = one_of(rng, fastnn.kernels.optimizers.SOLVERS if everything else SOLVERS)
    solver = "lbfgs" if chance(rng, 0.3) else solver
    known = sorted(fastnn.kernels.activations.ACTIVATIONS) if everything else ACTIVATIONS
    params = {
        "hidden_layer_sizes": hidden, "solver": solver, "max_iter": 2, "random_state": 0,
        "activation": one_of(rng, known), "dtype": one_of(rng, ("float32", "float64")),
        "batch_size": int(min(n, one_of(rng, ROWS + MANY_ROWS))),
        "n_jobs": int(rng.integers(1, 3)),
    }  # fmt: skip
    problem = one_of(rng, PROBLEMS)
    if everything:
        problem = one_of(rng, (*PROBLEMS, "binary", "multilabel", "poisson", "gamma", "hinge"))
        params |= extras(rng, problem, solver, len(hidden))
    # X in the precision of the network may be read where it lies.
    dtypes = (params["dtype"], params["dtype"], "float32", "float64")
    others = ("int8", "uint16", "int64", "float16", ">f8", "bool", "longdouble")
    return {
        "kind": "fit",
        "seed": int(rng.integers(2**31)),
        "n": n,
        "width": width,
        "layout": one_of(rng, SPARSE_LAYOUTS if is_sparse else LAYOUTS),
        "X": one_of(rng, others if everything and not is_sparse and chance(rng, 0.2) else dtypes),
        "problem": problem,
        "params": params,
        "sample_weight": chance(rng, 0.3),
        "packed": chance(rng, 0.3),
        "small_chunks": chance(rng, 0.5),
        "in_slices": chance(rng, 0.2),
        "partial_fit": everything and chance(rng, 0.2),
    }


def extras(rng, problem, solver, n_hidden):
    """Parameters of our own that add something to a step."""
    params = {}
    if solver != "lbfgs":
        choices = {
            "dropout": 0.5, "input_dropout": 0.25, "max_grad_norm": 0.1, "weight_average": 0.9,
            "l1_ratio": 0.5, "batch_norm": n_hidden > 0, "early_stopping": True,
        }  # fmt: skip
        params = {name: value for name, value in choices.items() if chance(rng, 0.25)}
    if problem in ("multiclass", "binary") and chance(rng, 0.3):
        params["class_weight"] = "balanced"
    return params


def target_for(rng, case):
    n, problem = case["n"], case["problem"]
    if problem in ("multiclass", "hinge"):
        return np.arange(n) % 3
    if problem == "binary":
        return np.arange(n) % 2
    if problem == "multilabel":
        return rng.integers(0, 2, (n, 3))
    if problem == "multioutput":
        return rng.standard_normal((n, 5))
    return rng.uniform(0.5, 2.0, n)


def estimator_for(case):
    params, problem = dict(case["params"]), case["problem"]
    if problem in ("multiclass", "binary", "multilabel", "hinge"):
        loss = "hinge" if problem == "hinge" else "log_loss"
        return fastnn.MLPClassifier(loss=loss, **params)
    loss = problem if problem in ("poisson", "gamma") else "squared_error"
    return fastnn.MLPRegressor(loss=loss, **params)


def fit_and_look(case, X, y, weight):
    """Everything that a fitted model has and says, as arrays."""
    model = estimator_for(case)
    try:
        model.fit(X, y, sample_weight=weight)
        if case["partial_fit"] and hasattr(model, "partial_fit"):
            model.partial_fit(X, y, sample_weight=weight)
    except ValueError as error:
        return [str(error)]
    found = [model._trained.params, np.array(model.loss_curve_)]
    for rows in (1, 2, 100, 3, len(y)):
        found.append(model.predict(X[:rows]))
    if model.n_outputs_ == 1 and hasattr(model, "predict_proba"):
        found.append(model.predict_proba(X))
    if case["params"]["hidden_layer_sizes"]:
        found.append(model.hidden_activations(X))
    found.append(model.input_gradient(X, **({"target": 0} if case["problem"] != "binary" else {})))
    return found


def run_fit(case):
    rng = np.random.default_rng(case["seed"])
    n, width = case["n"], case["width"]
    if case["layout"] in SPARSE_LAYOUTS:
        plain, other = sparse_pair(rng, n, width, case["X"], case["layout"])

        def arranged(at_end):
            return other
    else:
        plain = dense_values(rng, n, width, case["X"], case["layout"])

        def arranged(at_end):
            return laid_out(plain, case["layout"], at_end)

    y = target_for(rng, case)
    weight = rng.uniform(0.2, 3.0, n) if case["sample_weight"] else None
    # Threads for however small a network, forward packing, blocks of few rows, tasks in slices.
    pace.TOO_SMALL = pace.LARGE = 0
    pace.FIRST_TRIAL = float("inf")
    dense.PACK_BYTES = 0 if case["packed"] else 1 << 20
    passes.CHUNK_ELEMENTS = 1 if case["small_chunks"] else 1 << 20
    pace.LONG = -1.0 if case["in_slices"] else 0.7
    yield fit_and_look(case, plain, y, weight)
    for at_end in (True, False):
        with guard_pages(at_end=at_end):
            yield fit_and_look(case, arranged(at_end), y, weight)


# ---- perceptrons, augmentation, the matmul by itself -----------------------------------


def perceptron_case(rng):
    is_sparse = chance(rng, 0.5)
    return {
        "kind": "perceptron",
        "seed": int(rng.integers(2**31)),
        "n": int(one_of(rng, ROWS)) + 1,
        "width": int(one_of(rng, WIDTHS)),
        "classes": int(rng.integers(2, 5)),
        "layout": one_of(rng, SPARSE_LAYOUTS if is_sparse else LAYOUTS),
        "X": one_of(rng, ("float32", "float64")),
        "sample_weight": chance(rng, 0.5),
    }


def run_perceptron(case):
    rng = np.random.default_rng(case["seed"])
    n, width = case["n"], case["width"]
    is_sparse = case["layout"] in SPARSE_LAYOUTS
    if is_sparse:
        plain, other = sparse_pair(rng, n, width, case["X"], case["layout"])
    else:
        plain = dense_values(rng, n, width, case["X"], case["layout"])
    y = np.arange(n) % case["classes"]
    weight = {"sample_weight": rng.uniform(0, 3.0, n)} if case["sample_weight"] else {}

    def learn(X):
        model = fastnn.Perceptron(max_iter=3, random_state=0)
        model.partial_fit(X, y, classes=np.arange(case["classes"]), **weight)
        model.fit(X, y)
        return [model.coef_, model.intercept_, model.predict(X), model.decision_function(X[:1])]

    yield learn(plain)
    for at_end in (True, False):
        with guard_pages(at_end=at_end):
            yield learn(other if is_sparse else laid_out(plain, case["layout"], at_end))


def augment_case(rng):
    return {
        "kind": "augment",
        "seed": int(rng.integers(2**31)),
        "n": int(one_of(rng, ROWS)),
        "shape": [int(rng.integers(1, 20)), int(rng.integers(1, 20)), int(rng.integers(1, 4))],
        "dtype": one_of(rng, ("float32", "float64")),
        "elastic": chance(rng, 0.5),
    }


def run_augment(case):
    images = np.random.default_rng(case["seed"]).random((case["n"], int(np.prod(case["shape"]))))
    images = images.astype(case["dtype"])
    augmenter = fastnn.ImageAugmenter(
        tuple(case["shape"]),
        shift=30.0,
        rotate=180,
        scale=0.9,
        skew=1.0,
        contrast=0.5,
        reflect="both",
        elastic=(100.0, 2.0) if case["elastic"] else 0.0,
        random_state=0,
    )

    def change():
        model = fastnn.MLPRegressor(
            hidden_layer_sizes=(3,), max_iter=2, random_state=0, augment=augmenter, n_jobs=2
        )
        model.fit(images, images[:, 0])
        return [augmenter.transform(images), model._trained.params]

    yield change()
    for at_end in (True, False):
        with guard_pages(at_end=at_end):
            yield change()


def matmul_case(rng):
    k = int(one_of(rng, (1, 2, 3, 8, 17, 511, 512, 513, 530)))
    return {
        "kind": "matmul",
        "seed": int(rng.integers(2**31)),
        "m": int(one_of(rng, ROWS[:14])),
        "k": k,
        "n": int(one_of(rng, WIDTHS)),
        "precision": one_of(rng, ("float32", "float64")),
        "layout": one_of(rng, LAYOUTS),
        "packed": chance(rng, 0.5),
        "transposed": chance(rng, 0.5),
        "init": int(rng.integers(3)),
        "rows_apart": int(one_of(rng, (0, 0, 3, -1))),
    }


def call_matmul(a, row_stride, k_stride, b, b_stride, packed, k, c, c_stride, bias, init, m, n):
    left, sums = Matrix(a, row_stride, k_stride), Matrix(c, c_stride, 1)
    product(left, Factor(b, b_stride, packed), sums, bias, init, m, n, k)  # noqa: F821


def call_pack(source, k_stride, column_stride, packed, k, n):
    matrix = Matrix(source, k_stride, column_stride)
    pack(matrix, packed, k, n, (0, k), (0, n))  # noqa: F821


def run_matmul(case):
    m, k, n, precision = case["m"], case["k"], case["n"], case["precision"]
    names = matmul.bindings(precision)
    multiply = jit.bind(
        call_matmul, f"bounds_matmul_{precision}", from_python=True, product=names["matmul"]
    )
    fill = jit.bind(call_pack, f"bounds_pack_{precision}", from_python=True, pack=names["pack"])
    rng = np.random.default_rng(case["seed"])
    A = dense_values(rng, m, k, precision, case["layout"])
    B, bias, C = (rng.standard_normal(shape).astype(precision) for shape in ((k, n), (n,), (m, n)))
    ones = np.ones((k, n), precision)
    ld = n + max(0, case["rows_apart"])

    def first(array):
        # One element is enough to say where a matrix is: the kernels go by strides.
        return np.lib.stride_tricks.as_strided(array, (1,), (array.itemsize,))

    def multiplied(A, new):
        right, c, start = new((k, n)), new((m, n), ld), new((n,))
        right[...], c[...], start[...] = B, C, bias
        b_stride = n
        if case["rows_apart"] < 0:
            # Every row of B is the same one.
            right, b_stride = new((n,)), 0
            right[...] = B[0]
        elif case["packed"]:
            source = new((n, k)).T if case["transposed"] else new((k, n))
            source[...] = B
            strides = [stride // source.itemsize for stride in source.strides]
            right, b_stride = new((matmul.packed_size(k, n, precision),)), 0
            fill(first(source), *strides, right, k, n)
        strides = [stride // A.itemsize for stride in A.strides]
        multiply(
            first(A),
            *strides,
            first(right),
            b_stride,
            case["packed"] and case["rows_apart"] >= 0,
            k,
            first(c),
            ld,
            first(start),
            case["init"],
            m,
            n,
        )
        return c.copy()

    # By the definition, without any of ours.
    total = {ZERO: np.zeros_like(C), ADD: C, BIAS: np.broadcast_to(bias, C.shape)}[case["init"]]
    right = B if case["rows_apart"] >= 0 else B[0] * ones
    expected = total.astype(float) + A.astype(float) @ right.astype(float)
    scale = np.abs(total) + np.abs(A).astype(float) @ np.abs(right)
    results = []
    for at_end in (None, True, False):

        def new(shape, row_size=None, at_end=at_end):
            row = shape[-1] if row_size is None else row_size
            strides = (row * B.itemsize, B.itemsize)[-len(shape) :]
            if at_end is None:
                return np.empty((shape[0], row) if len(shape) == 2 else shape, precision)[
                    ..., : shape[-1]
                ]
            return allocate(shape, precision, strides, at_end=at_end)

        left = A if at_end is None else laid_out(A, case["layout"], at_end)
        results.append(multiplied(left, new))
    error = np.abs(results[0] - expected)
    assert (error <= 2 * (k + 1) * np.finfo(precision).eps * scale).all(), error.max()
    for result in results:
        yield [result]


KINDS = {
    "fit": (fit_case, run_fit),
    "any": (any_case, run_fit),
    "perceptron": (perceptron_case, run_perceptron),
    "augment": (augment_case, run_augment),
    "matmul": (matmul_case, run_matmul),
}


def main(seed, counts):
    warnings.simplefilter("ignore")
    for kind, count in counts.items():
        make, run = KINDS[kind]
        rng = np.random.default_rng(seed)
        for _ in range(count):
            case = make(rng)
            print(json.dumps(case), flush=True)
            plain, *others = run(case)
            for found in others:
                np.testing.assert_equal(found, plain)
    print(json.dumps(counts | {"vector_bytes": simd.vector_bytes()}))


if __name__ == "__main__":
    pairs = (argument.split("=") for argument in sys.argv[2:])
    main(int(sys.argv[1]), {kind: int(count) for kind, count in pairs})
