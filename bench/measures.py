"""Everything that run.py can measure, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import augmenting
import bench_profile
import bench_start
import feature_costs
import grid_search
import memory
import predicting
import scaling
import training
import training_table
from rows import ROWS


@dataclass(frozen=True)
class Measure:
    """How a row is measured, and how its result is shown.

    Parameters
    ----------
    measure : callable
        ``measure(dtypes, n_runs, workers)`` returns a dict for the row's JSON file.
    markdown : callable
        Takes that, with the row's name and the machine.
    """

    measure: Callable
    markdown: Callable


TRAINING = {
    name: Measure(partial(training.measure, row), training_table.full_of_one)
    for name, row in ROWS.items()
}
OTHERS = {
    name: Measure(module.measure, module.markdown)
    for name, module in (
        ("P", predicting),
        ("G", grid_search),
        ("scaling", scaling),
        ("memory", memory),
        ("start", bench_start),
        ("profile", bench_profile),
        ("features", feature_costs),
        ("augmentation", augmenting),
    )
}
MEASURES = TRAINING | OTHERS
