"""Row augmentation: what changing the images of row A costs, in the compiled loop."""

import numpy as np

import core
import peers
from fastnn import ImageAugmenter
from feature_costs import Feature, time_in_turn
from formatting import number, table
from processes import Process
from rows import ROWS

SHAPE = (28, 28)
MOVES = {"shift": 2, "rotate": 10, "scale": (0.1, 0.1), "skew": 0.1}
ELASTIC = {"elastic": (34, 4)}
REST = {"reflect": "both", "contrast": 0.2}
CHANGES = {
    "nothing": None,
    "shift, rotate, scale, skew": MOVES,
    "elastic": ELASTIC,
    "everything": MOVES | ELASTIC | REST,
}


def measure(dtypes, n_runs, workers=None):
    """Seconds of a step by precision and change, on as many threads as a fit takes."""
    with Process() as process:
        times = {dtype: process.call(measure_changes, dtype, n_runs) for dtype in dtypes}
    return {"dtypes": times}


def measure_changes(dtype, n_runs):
    """In a worker: the median seconds of a step by change, in turn."""
    row = ROWS["A"]
    X, y = peers.load("A", dtype)
    trainers = {
        title: core.make_trainer(row, X, y, feature=_feature(title, settings), n_jobs=None)[0]
        for title, settings in CHANGES.items()
    }
    return time_in_turn(trainers, row, len(X), n_runs)


def _feature(title, settings):
    if settings is None:
        return Feature(title)
    augmentation = ImageAugmenter(SHAPE, **settings).check_images(np.zeros((1, 784)))
    return Feature(title, regularization={"augmentation": augmentation})


def markdown(result):
    """A line for each change, a column for each precision."""
    by_dtype = result["dtypes"]
    header = ["row A, µs of a step (of that without)", *by_dtype]
    lines = []
    for title in CHANGES:
        cells = []
        for seconds in by_dtype.values():
            part = 100 * seconds[title] / seconds["nothing"]
            cells.append(f"{number(1e6 * seconds[title])} ({part:.0f} %)")
        lines.append([title, *cells])
    return table(header, lines)
