"""Row features: what each feature costs where it is on, against a step without any."""

from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import numpy as np

import core
import peers
from formatting import number, table
from processes import Process
from rows import ROWS

DTYPE = "float32"
MEASURED = ("S", "A")
# Seconds of an epoch at least, of as many mini-batches of the data as it takes.
LEAST = 0.1


@dataclass(frozen=True)
class Feature:
    """The difference to the default network's training, by where it belongs."""

    title: str
    network: dict = field(default_factory=dict)
    optimizer: dict = field(default_factory=dict)
    regularization: dict = field(default_factory=dict)


FEATURES = (
    Feature("nothing: relu, adam"),
    *(
        Feature(f"activation {name}", network={"activation": name})
        for name in ("leaky_relu", "prelu", "tanh", "softplus", "elu", "gelu", "silu", "mish")
    ),
    *(
        Feature(f"solver {name}", optimizer={"solver": name})
        for name in ("sgd", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "muon")
    ),
    Feature("label smoothing", network={"loss": "smoothed_log_loss", "loss_parameter": 0.1}),
    Feature("squared error", network={"loss": "softmax_squared_error"}),
    Feature("hinge", network={"loss": "multiclass_hinge"}),
    Feature("dropout 0.2", regularization={"dropout": 0.2}),
    Feature("dropout 0.2, also of the input", regularization={"dropout": 0.2, "input": 0.2}),
    Feature("batch norm", network={"batch_norm": True}),
    Feature("L1 penalty", regularization={"l1_ratio": 0.5}),
    Feature("clipping", regularization={"max_grad_norm": 1.0}),
    Feature("average of the weights", optimizer={"weight_average": 0.999}),
)


def measure(dtypes, n_runs, workers=None):
    """Microseconds of a step on one thread, of each row with each feature, in turn."""
    with Process() as process:
        return {
            "dtype": DTYPE,
            "rows": {name: process.call(measure_row, name, n_runs) for name in MEASURED},
        }


def measure_row(name, n_runs):
    """In a worker: the median seconds of a step by feature."""
    row = ROWS[name]
    X, y = peers.load(name, DTYPE)
    trainers = {f.title: core.make_trainer(row, X, y, feature=f)[0] for f in FEATURES}
    return time_in_turn(trainers, row, len(X), n_runs)


def time_in_turn(trainers, row, n_rows, n_runs):
    """The median seconds of a step of each trainer, by title."""
    order = np.random.RandomState(0).permutation(n_rows)
    seconds = {title: [] for title in trainers}
    for trainer in trainers.values():
        trainer.train_epoch(order)
    for _ in range(n_runs):
        for title, trainer in trainers.items():
            seconds[title].append(time_epochs(trainer, row, order))
    return {title: median(values) for title, values in seconds.items()}


def time_epochs(trainer, row, order):
    """Seconds of a mini-batch."""
    start, n_batches = perf_counter(), 0
    while perf_counter() - start < LEAST:
        trainer.train_epoch(order)
        n_batches += -(-len(order) // row.batch_size)
    return (perf_counter() - start) / n_batches


def markdown(result):
    """A line for each feature, a column for each row."""
    rows = result["rows"]
    header = [f"µs of a step, {result['dtype']}, one thread (of that without)", *rows]
    lines = []
    for feature in FEATURES:
        cells = []
        for seconds in rows.values():
            own, without = seconds[feature.title], seconds[FEATURES[0].title]
            cells.append(f"{number(1e6 * own)} ({100 * own / without:.0f} %)")
        lines.append([feature.title, *cells])
    return table(header, lines)
