"""Augmentation in a pass, with its tables and room to work; and augmentation by itself."""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.image_units import (
    AROUND,
    CHANNELS,
    CONTRAST,
    FILL,
    GRID_HEIGHT,
    GRID_WIDTH,
    HAS_FILL,
    HEIGHT,
    MOVES,
    N_SETTINGS,
    N_SIZES,
    ONE_SCALE,
    REFLECT_X,
    REFLECT_Y,
    ROTATE,
    SCALE_X,
    SCALE_Y,
    SHIFT_X,
    SHIFT_Y,
    SKEW,
    WIDTH,
)
from fastnn.kernels.plan import Plan

# There is noise up to REACH sigmas beyond the image: noise further off would add a part in 400 to
# the variance at an edge.
REACH = 2.0
# A Gaussian counts as zero from FAR sigmas on, and EXP_TERMS are enough terms of
# exp(x) = 1 + x + x**2 / 2 + ... for x up to half the square of FAR.
FAR = 8
EXP_TERMS = 140
# Images that are augmented by themselves are at most MOST_TASKS tasks, whose memory together is at
# most MOST_MEMORY times that of the images. Each pixel takes about PIXEL_FLOPS operations.
MOST_TASKS = 64
MOST_MEMORY = 1 / 4
PIXEL_FLOPS = 100
# PLACE is the type of a pixel's place in the padded image.
PLACE = np.dtype(np.int32)


def n_grid_points(size, sigma):
    """The number of points, sigma apart, for noise along an axis of so many pixels."""
    return int(np.ceil((size - 1) / sigma + 2 * REACH)) + 1


def fill_smoothing(table, sigma, factor=1.0):
    """Make of zeros (size, points) what makes a smooth field along an axis of what is drawn.

    Noise smoothed by a Gaussian of width sigma is a random field that this makes of noise on a
    grid as wide as sigma, to a part in 10,000 of the covariance. It takes sums, products and
    quotients alone, as the libraries' exp differs between machines.
    """
    # Both are counted from their middle.
    pixels, points = (np.arange(n) - (n - 1) / 2 for n in table.shape)
    points *= sigma
    # Points farther from a pixel are left out, which on a long axis would take most of the time.
    nearby = np.rint((pixels - points[0]) / sigma).astype(np.int64)[:, None]
    nearby = nearby + np.arange(-FAR, FAR + 1)
    rows, places = np.nonzero((nearby >= 0) & (nearby < len(points)))
    columns = nearby[rows, places]
    squares = 0.5 * ((pixels[rows] - points[columns]) / sigma) ** 2
    value = np.ones_like(squares)
    for i in range(EXP_TERMS, 0, -1):
        value = 1.0 + value * squares / i
    table[rows, columns] = np.where(squares < 0.5 * FAR**2, 1.0 / value * factor, 0.0)


class Augmentation:
    """A unit that augments the images of a mini-batch, and what it reads and writes besides.

    Parameters
    ----------
    machine : fastnn.kernels.machine.Machine
    settings : fastnn.network.regularization.Augmentation
    dtype : dtype
    """

    def __init__(self, machine, settings, dtype):
        self.machine, self.dtype = machine, np.dtype(dtype)
        height, width, channels = settings.shape
        self.sizes = np.zeros(N_SIZES, np.int64)  # (8,)
        self.sizes[[HEIGHT, WIDTH, CHANNELS]] = settings.shape
        self.sizes[MOVES], self.sizes[HAS_FILL] = settings.moves, settings.fill is not None
        self._set_settings(settings)
        # The grid has each pixel's place from the middle, (2, height, width).
        axes = [np.arange(size) - (size - 1) / 2 for size in (height, width)]
        self.grid = np.stack(np.meshgrid(*axes, indexing="ij"), dtype=dtype)
        self._set_smoothing(*settings.elastic)
        # A task has displacements and offsets; and noise and its first product, or a padded image.
        padded = (height + AROUND) * (width + AROUND)
        grid_height, grid_width = map(int, self.sizes[[GRID_HEIGHT, GRID_WIDTH]])
        noise = 2 * grid_height * (grid_width + width)
        self.scratch_size = 4 * height * width + max(padded, noise)

    def _set_smoothing(self, alpha, sigma):
        """The grid's sizes, and its table: (height, grid_height), then (grid_width, width)."""
        if alpha == 0:
            self.smoothing = np.zeros(0, self.dtype)
            return
        height, width = map(int, self.sizes[[HEIGHT, WIDTH]])
        grid_height, grid_width = n_grid_points(height, sigma), n_grid_points(width, sigma)
        self.sizes[[GRID_HEIGHT, GRID_WIDTH]] = grid_height, grid_width
        n_columns = height * grid_height
        self.smoothing = np.zeros(n_columns + grid_width * width, self.dtype)
        # Simard multiplies noise on every pixel by alpha, and his Gaussian's integral is 1. A point
        # of the grid stands for sigma**2 pixels, and their sum's spread is sigma times one's.
        columns = self.smoothing[:n_columns].reshape(height, grid_height)
        fill_smoothing(columns, sigma, alpha / (2 * np.pi * sigma))
        fill_smoothing(self.smoothing[n_columns:].reshape(grid_width, width).T, sigma)

    def _set_settings(self, settings):
        values = np.zeros(N_SETTINGS)  # (16,)
        values[[SHIFT_Y, SHIFT_X]] = settings.shift
        values[ROTATE] = settings.rotate * (np.pi / 180)
        values[[SCALE_Y, SCALE_X]] = settings.scale
        values[ONE_SCALE] = settings.one_scale
        values[SKEW], values[CONTRAST] = settings.skew, settings.contrast
        values[[REFLECT_Y, REFLECT_X]] = settings.reflect
        values[FILL] = settings.fill or 0.0
        if abs(values[FILL]) > np.finfo(self.dtype).max:
            raise ValueError(
                f"fill={settings.fill} is too large for dtype('{self.dtype}'), the precision in "
                "which the images are augmented. Give a smaller fill, or choose float64."
            )
        self.settings = values

    def n_tasks(self, images):
        """The tasks to make of ``images`` (n, n_features): each has a scratch of its own."""
        n_pixels = self.grid[0].size
        task_bytes = self.scratch_size * self.dtype.itemsize + n_pixels * PLACE.itemsize
        return int(min(max(1, MOST_MEMORY * images.nbytes // task_bytes), MOST_TASKS))

    def add(self, plan, images, stride, key, block):
        """In a chain over rows: augment ``images`` (rows, stride) in place, ``block`` a task."""
        n_tasks = -(-images.shape[0] // block)
        n_pixels = self.grid[0].size
        plan.add(
            catalog.augment_unit(self.dtype.name),
            **self.machine.product_arguments(self.dtype.name),
            images_at=images,
            ld=stride,
            sizes_at=self.sizes,
            settings_at=self.settings,
            grid_at=self.grid,
            smoothing_at=self.smoothing,
            places_at=self.machine.zeros((n_tasks, n_pixels), PLACE),
            scratch_at=self.machine.zeros((n_tasks, self.scratch_size), self.dtype),
            scratch_size=self.scratch_size,
            key_at=key,
            block=block,
        )


def augment(machine, settings, images, seed):
    """Augment ``images`` (n, n_features) in place, as in the first step of a training."""
    rows = len(images)
    augmentation = Augmentation(machine, settings, images.dtype)
    block = -(-rows // augmentation.n_tasks(images))
    key = machine.zeros(1, np.int64)
    plan = Plan(machine)
    plan.group()
    plan.chain(tasks=1)
    plan.add(catalog.begin_random_unit(), steps_at=np.zeros(1), seed=seed, n_layers=0, keys_at=key)
    plan.group()
    plan.chain(row_block=block)
    augmentation.add(plan, images, images.shape[1], key, block)
    machine.pace(plan.compile(), PIXEL_FLOPS * images.size).run(rows, rows)
    machine.pull(images)
    return images
