"""What augmentation adds to a pass: its tables, and room to work; and augmentation by itself."""

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
from fastnn.kernels.pace import Pace
from fastnn.kernels.plan import Plan

# Beyond the image there is noise for so many sigmas: what is further off would add a part in 400 to
# the variance at an edge.
REACH = 2.0
# Half the square of a distance of 8 sigmas, from which on a Gaussian counts as zero; and terms of
# exp(x) = 1 + x + x**2 / 2 + ..., enough up to there.
FAR = 32.0
EXP_TERMS = 140
# Tasks of images that are augmented by themselves, and operations for each of their pixels, about.
MOST_TASKS = 64
PIXEL_FLOPS = 100


def grid_points(size, sigma):
    """Where noise is drawn along an axis of that many pixels, from their middle: sigma apart."""
    n = int(np.ceil((size - 1) / sigma + 2 * REACH)) + 1
    return sigma * (np.arange(n) - (n - 1) / 2)


def smoothing(size, sigma):
    """The matrix (size, points) that makes a smooth field along an axis of what is drawn.

    Noise smoothed by a Gaussian of width sigma is a random field that this makes of noise on a
    grid as wide as sigma, to a part in 10,000 of the covariance. By sums, products and quotients
    alone, as the libraries' exp differs between machines.
    """
    pixels = np.arange(size) - (size - 1) / 2
    squares = 0.5 * ((pixels[:, None] - grid_points(size, sigma)) / sigma) ** 2
    squares = np.minimum(squares, FAR)
    value = np.ones_like(squares)
    for i in range(EXP_TERMS, 0, -1):
        value = 1.0 + value * squares / i
    return np.where(squares < FAR, 1.0 / value, 0.0)


class Augmentation:
    """A unit that augments the images of a mini-batch, and what it reads and writes besides.

    Parameters
    ----------
    settings : fastnn.network.Augmentation
    dtype : dtype
    """

    def __init__(self, settings, dtype):
        self.dtype = np.dtype(dtype)
        height, width, channels = settings.shape
        alpha, sigma = settings.elastic
        self.sizes = np.zeros(N_SIZES, np.int64)  # (8,)
        self.sizes[[HEIGHT, WIDTH, CHANNELS]] = settings.shape
        self.sizes[MOVES], self.sizes[HAS_FILL] = settings.moves, settings.fill is not None
        self._set_settings(settings)
        # Of each pixel, from the middle: (2, height, width).
        axes = [np.arange(size) - (size - 1) / 2 for size in (height, width)]
        self.grid = np.stack(np.meshgrid(*axes, indexing="ij")).astype(dtype)
        smooth_y, smooth_x = smoothing(height, sigma), smoothing(width, sigma)
        # Of noise on every pixel Simard's alpha is a factor, and the Gaussian's integral is 1. A
        # point of the grid stands for sigma**2 pixels, and their sum's spread is sigma times one's.
        smooth_y *= alpha / (2 * np.pi * sigma)
        grid_height, grid_width = smooth_y.shape[1], smooth_x.shape[1]
        if alpha > 0:
            self.sizes[[GRID_HEIGHT, GRID_WIDTH]] = grid_height, grid_width
        self.smoothing = np.concatenate([smooth_y.ravel(), smooth_x.T.ravel()]).astype(dtype)
        # Displacements and offsets; and noise and its first product, or the padded image.
        padded = (height + AROUND) * (width + AROUND)
        noise = 2 * grid_height * (grid_width + width)
        self.scratch_size = 4 * height * width + max(padded, noise if alpha > 0 else 0)

    def _set_settings(self, settings):
        values = np.zeros(N_SETTINGS)  # (16,)
        values[[SHIFT_Y, SHIFT_X]] = settings.shift
        values[ROTATE] = settings.rotate * (np.pi / 180)
        values[[SCALE_Y, SCALE_X]] = settings.scale
        values[ONE_SCALE] = settings.one_scale
        values[SKEW], values[CONTRAST] = settings.skew, settings.contrast
        values[[REFLECT_Y, REFLECT_X]] = settings.reflect
        values[FILL] = settings.fill or 0.0
        self.settings = values

    def add(self, plan, images, stride, key, block):
        """In a chain over rows: augment ``images`` (rows, stride) in place, ``block`` a task."""
        n_tasks = -(-len(images) // block)
        n_pixels = self.grid[0].size
        plan.add(
            catalog.augment_unit(self.dtype.name), images_at=images, ld=stride,
            sizes_at=self.sizes, settings_at=self.settings, grid_at=self.grid,
            smoothing_at=self.smoothing, places_at=np.zeros((n_tasks, n_pixels), np.int32),
            scratch_at=np.zeros((n_tasks, self.scratch_size), self.dtype),
            scratch_size=self.scratch_size, key_at=key, block=block,
        )  # fmt: skip


def augment(settings, images, seed):
    """Augment ``images`` (n, n_features) in place, as in the first step of a training."""
    rows = len(images)
    block = -(-rows // MOST_TASKS)
    key = np.zeros(1, np.int64)
    plan = Plan()
    plan.group()
    plan.chain(tasks=1)
    plan.add(catalog.begin_random_unit(), steps_at=np.zeros(1), seed=seed, n_layers=0, keys_at=key)
    plan.group()
    plan.chain(row_block=block)
    Augmentation(settings, images.dtype).add(plan, images, images.shape[1], key, block)
    Pace(plan.compile(), PIXEL_FLOPS * images.size, 1).run(rows, rows)
    return images
