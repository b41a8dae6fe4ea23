"""Augmentation in plain NumPy and SciPy: an independent oracle.

From the definitions, image by image: matrices are inverted, the elastic field is a sum over the
grid's points, and SciPy takes the pixels. The draws are those of the counter-based generator.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from reference import mixed

GOLDEN = 0x9E3779B97F4A7C15


def make_key(*values):
    """The generator's key of whole numbers, which may be negative."""
    key = np.uint64(0)
    with np.errstate(over="ignore"):
        for value in values:
            key = (key ^ np.uint64(int(value) % 2**64)) + np.uint64(GOLDEN)
            key = mixed(key, (30, 27, 31), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
    return key


def draws(key, first, count):
    """Numbers in [-1, 1) of the places from ``first`` on."""
    places = np.arange(first, first + count, dtype=np.uint32)
    with np.errstate(over="ignore"):
        bits = places * np.uint32(0x9E3779B9)
        for half in (key & np.uint64(0xFFFFFFFF), key >> np.uint64(32)):
            bits = mixed(bits ^ np.uint32(half), (16, 15, 16), (0x7FEB352D, 0x846CA68B))
    return (bits.view(np.int32) >> 8) / 2**23


def linear_map(settings, values):
    """The matrix (2, 2) by which (y, x) moves: reflect, scale, skew, rotate."""
    angle = np.deg2rad(settings.rotate) * values[2]
    scale_y = 1 + settings.scale[0] * values[3]
    scale_x = 1 + settings.scale[1] * values[3 if settings.one_scale else 4]
    reflect_y, reflect_x = (
        -1 if wanted and value < 0 else 1
        for wanted, value in zip(settings.reflect, values[7:9], strict=True)
    )
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    slant = np.array([[1, 0], [settings.skew * values[5], 1]])
    return rotation @ slant @ np.diag([scale_y * reflect_y, scale_x * reflect_x])


def displacements(settings, key):
    """The elastic field (2, height, width)."""
    alpha, sigma = settings.elastic
    weights = []
    for size in settings.shape[:2]:
        n = int(np.ceil((size - 1) / sigma + 4)) + 1
        points = sigma * (np.arange(n) - (n - 1) / 2)
        distance = (np.arange(size) - (size - 1) / 2)[:, None] - points
        weights.append(np.exp(-0.5 * (distance / sigma) ** 2))
    shape = (2, weights[0].shape[1], weights[1].shape[1])
    noise = draws(key, 16, np.prod(shape)).reshape(shape)
    field = np.einsum("ig,agh,jh->aij", weights[0], noise, weights[1])
    return alpha / (2 * np.pi * sigma) * field


def augmented(settings, images, seed, step=1):
    """The images (n, n_features) of a training's ``step``, counted from 1, in float64."""
    height, width, channels = settings.shape
    middle = (np.array([height, width]) - 1) / 2
    pixels = np.moveaxis(np.indices((height, width)), 0, -1) - middle
    result = []
    for row, image in enumerate(np.asarray(images, np.float64)):
        key = make_key(make_key(seed, step, -1), row, 0)
        values = draws(key, 0, 16)
        shift = np.array(settings.shift) * values[:2]
        inverse = np.linalg.inv(linear_map(settings, values))
        places = np.moveaxis((pixels - shift) @ inverse.T + middle, -1, 0)
        if settings.elastic[0] > 0:
            places = places + displacements(settings, key)
        mode = "nearest" if settings.fill is None else "grid-constant"
        planes = [
            map_coordinates(plane, places, order=1, mode=mode, cval=settings.fill or 0.0)
            for plane in np.moveaxis(image.reshape(settings.shape), -1, 0)
        ]
        image = np.stack(planes, axis=-1).ravel()
        factor = 1 + settings.contrast * values[6]
        result.append(image.mean() + factor * (image - image.mean()))
    return np.array(result)
