"""Augmentation of images: the template of its unit, from the draws to the pixels.

An output pixel p is taken from where A p + b + d(p) lies in the image: A and b undo a reflection,
a scaling, a skew, a rotation and a shift, in this order, about the image's middle, and d is the
elastic displacement. All of a row's numbers come from a key of its own.
"""

from math import factorial

import numpy as np

from fastnn.kernels.memory import part, span, view
from fastnn.kernels.random import make_key, random_integer
from fastnn.kernels.units import ZERO, rows_of_task

# The sizes (8,), int64, are those of an image; the points of the grid on which noise is drawn, 0 by
# 0 where nothing is elastic; whether pixels move at all; and whether those from outside have a
# value of their own.
HEIGHT, WIDTH, CHANNELS, GRID_HEIGHT, GRID_WIDTH, MOVES, HAS_FILL = range(7)
N_SIZES = 8
# The settings (16,), float64, are the most of each change, in pixels, radians and fractions; 1
# where an axis may be reflected or both have one scale; and the value of pixels from outside.
SHIFT_Y, SHIFT_X, ROTATE, SCALE_Y, SCALE_X, SKEW, CONTRAST = range(7)
REFLECT_Y, REFLECT_X, ONE_SCALE, FILL = range(7, 11)
N_SETTINGS = 16
# A row's draws have the places of their settings, up to REFLECT_X, and the noise's begin at NOISE.
NOISE = 16
# An image has a pixel before it and two after it, so that a clamped place has its next neighbour.
BEFORE, AROUND = 1, 3
# Random integers times FINEST are numbers in [-1, 1).
FINEST = 2.0**-23
# sin(x) / x and cos(x) as polynomials in x**2, highest power first, for x up to pi.
SINE = [(-1) ** i / factorial(2 * i + 1) for i in range(14, -1, -1)]
COSINE = [(-1) ** i / factorial(2 * i) for i in range(14, -1, -1)]


def augment(
    step,
    task,
    multiply_at,
    images_at,
    ld,
    sizes_at,
    settings_at,
    grid_at,
    smoothing_at,
    places_at,
    scratch_at,
    scratch_size,
    key_at,
    block,
):
    # images (rows, ld), each as if it had been taken a little differently, in place.
    first, last = rows_of_task(step, task, block)
    sizes = view(sizes_at, N_SIZES, np.int64)  # (8,)
    settings = view(settings_at, N_SETTINGS, np.float64)  # (16,)
    n_pixels = sizes[HEIGHT] * sizes[WIDTH]
    n = n_pixels * sizes[CHANNELS]
    grid = view(grid_at, 2 * n_pixels, real)  # (2, height, width)
    places = span(places_at, task * n_pixels, (task + 1) * n_pixels, np.int32)  # (n_pixels,)
    own_at = scratch_at + task * scratch_size * ITEMSIZE
    scratch = view(own_at, scratch_size, real)
    displacements = part(scratch, 0, 2 * n_pixels)  # (2, height, width), 0 if nothing is elastic
    offsets = part(scratch, 2 * n_pixels, 4 * n_pixels)  # (2, height, width)
    rest = part(scratch, 4 * n_pixels, scratch_size)
    rest_at = own_at + 4 * n_pixels * ITEMSIZE
    for r in range(first, last):
        key = make_key(view(key_at, 1, np.int64)[0], r, 0)
        image = span(images_at, r * ld, r * ld + n, real)  # (height, width, channels)
        if sizes[MOVES] == 1:
            if sizes[GRID_HEIGHT] > 0:
                displace(key, sizes, multiply_at, smoothing_at, own_at, rest_at)
            locate(motion(key, settings), sizes, grid, displacements, offsets, places)
            for channel in range(sizes[CHANNELS]):
                pad(image, channel, sizes, settings, rest)
                sync()
                sample(rest, offsets, places, image, channel, sizes)
                sync()
        if settings[CONTRAST] > 0.0:
            change_contrast(image, real(settings[CONTRAST] * draw(key, CONTRAST)))
            sync()


def uniform(key, place):
    return real(random_integer(key, place)) * real(FINEST)


def draw(key, what):
    return np.float64(uniform(key, np.int64(what)))


def displace(key, sizes, multiply_at, smoothing_at, displacements_at, rest_at):
    # displacements (2, height, width) = noise on a grid, smoothed along the rows, then the columns:
    # half (2, grid_height, width) = noise rows, then of each axis displacements = columns half.
    height, width = sizes[HEIGHT], sizes[WIDTH]
    grid_height, grid_width = sizes[GRID_HEIGHT], sizes[GRID_WIDTH]
    n_noise = 2 * grid_height * grid_width
    columns_at = smoothing_at  # (height, grid_height)
    rows_at = columns_at + height * grid_height * ITEMSIZE  # (grid_width, width)
    noise_at = rest_at  # (2, grid_height, grid_width)
    half_at = noise_at + n_noise * ITEMSIZE  # (2, grid_height, width)
    noise = view(noise_at, n_noise, real)
    for i in by_threads(n_noise):
        noise[i] = uniform(key, NOISE + i)
    sync()
    factor, half = (rows_at, width, 0), (half_at, width)
    sizes = (2 * grid_height, width, grid_width)
    call_multiply(multiply_at, (noise_at, grid_width, 1), factor, half, 0, ZERO, sizes)
    for axis in range(2):
        source_at = half_at + axis * grid_height * width * ITEMSIZE
        target_at = displacements_at + axis * height * width * ITEMSIZE
        left, factor = (columns_at, grid_height, 1), (source_at, width, 0)
        sizes = (height, width, grid_height)
        call_multiply(multiply_at, left, factor, (target_at, width), 0, ZERO, sizes)


def motion(key, settings):
    # A and b, from the draws: (a_yy, a_yx, a_xy, a_xx, b_y, b_x).
    shift_y = settings[SHIFT_Y] * draw(key, SHIFT_Y)
    shift_x = settings[SHIFT_X] * draw(key, SHIFT_X)
    angle = settings[ROTATE] * draw(key, ROTATE)
    of_x = SCALE_X if settings[ONE_SCALE] == 0.0 else SCALE_Y
    scale_y = 1.0 + settings[SCALE_Y] * draw(key, SCALE_Y)
    scale_x = 1.0 + settings[SCALE_X] * draw(key, of_x)
    skew = settings[SKEW] * draw(key, SKEW)
    if settings[REFLECT_Y] != 0.0 and draw(key, REFLECT_Y) < 0.0:
        scale_y = -scale_y
    if settings[REFLECT_X] != 0.0 and draw(key, REFLECT_X) < 0.0:
        scale_x = -scale_x
    square = angle * angle
    sine, cosine = angle * sine_polynomial(square), cosine_polynomial(square)
    a_yy, a_yx = cosine / scale_y, -sine / scale_y
    a_xy, a_xx = (sine - skew * cosine) / scale_x, (cosine + skew * sine) / scale_x
    b_y = -(a_yy * shift_y + a_yx * shift_x)
    b_x = -(a_xy * shift_y + a_xx * shift_x)
    return a_yy, a_yx, a_xy, a_xx, b_y, b_x


def locate(affine, sizes, grid, displacements, offsets, places):
    # Where each pixel is taken from: places (n_pixels,) = its upper left neighbour in the padded
    # image, offsets (2, n_pixels) = how far it is from there.
    height, width = sizes[HEIGHT], sizes[WIDTH]
    n_pixels = height * width
    a_yy, a_yx = real(affine[0]), real(affine[1])
    a_xy, a_xx = real(affine[2]), real(affine[3])
    b_y = real(affine[4] + (0.5 * np.float64(height - 1) + np.float64(BEFORE)))
    b_x = real(affine[5] + (0.5 * np.float64(width - 1) + np.float64(BEFORE)))
    bottom, right = real(height + BEFORE), real(width + BEFORE)
    pitch = real(width + AROUND)
    grid_y, grid_x = part(grid, 0, n_pixels), part(grid, n_pixels, 2 * n_pixels)
    moved_y, moved_x = part(displacements, 0, n_pixels), part(displacements, n_pixels, 2 * n_pixels)
    offset_y, offset_x = part(offsets, 0, n_pixels), part(offsets, n_pixels, 2 * n_pixels)
    for i in by_threads(n_pixels):
        y = a_yy * grid_y[i] + (a_yx * grid_x[i] + (b_y + moved_y[i]))
        x = a_xx * grid_x[i] + (a_xy * grid_y[i] + (b_x + moved_x[i]))
        y = y if y > real(0) else real(0)
        x = x if x > real(0) else real(0)
        y = y if y < bottom else bottom
        x = x if x < right else right
        whole_y, whole_x = real(np.int32(y)), real(np.int32(x))
        places[i] = np.int32(whole_y * pitch + whole_x)
        offset_y[i], offset_x[i] = y - whole_y, x - whole_x


def pad(image, channel, sizes, settings, padded):
    # padded (height + 3, width + 3) = a channel of the image, and around it the value that is
    # given, or its own edge.
    height, width, channels = sizes[HEIGHT], sizes[WIDTH], sizes[CHANNELS]
    pitch = width + AROUND
    has_fill, fill = sizes[HAS_FILL] == 1, real(settings[FILL])
    for y in by_warps(0, height):
        row = part(padded, (y + BEFORE) * pitch, (y + BEFORE + 1) * pitch)
        source = part(image, y * width * channels, (y + 1) * width * channels)
        inside = part(row, BEFORE, BEFORE + width)
        for x in by_lanes(width):
            inside[x] = source[x * channels + channel]
    sync()
    for y in by_threads(height):
        row = part(padded, (y + BEFORE) * pitch, (y + BEFORE + 1) * pitch)
        inside = part(row, BEFORE, BEFORE + width)
        row[0] = fill if has_fill else inside[0]
        row[width + 1] = fill if has_fill else inside[width - 1]
        row[width + 2] = row[width + 1]
    sync()
    for y in (0, height + 1, height + 2):
        row = part(padded, y * pitch, (y + 1) * pitch)
        nearest = 1 if y == 0 else height
        source = part(padded, nearest * pitch, (nearest + 1) * pitch)
        for x in by_threads(pitch):
            row[x] = fill if has_fill else source[x]


def sample(padded, offsets, places, image, channel, sizes):
    # A channel of the image = what lies there in the padded one, between four pixels each.
    width, channels = sizes[WIDTH], sizes[CHANNELS]
    n_pixels = sizes[HEIGHT] * width
    pitch = width + AROUND
    below = part(padded, pitch, padded.shape[0])
    offset_y, offset_x = part(offsets, 0, n_pixels), part(offsets, n_pixels, 2 * n_pixels)
    for i in by_threads(n_pixels):
        place = np.uint32(places[i])
        top, bottom = padded[place], below[place]
        top += offset_x[i] * (padded[place + np.uint32(1)] - top)
        bottom += offset_x[i] * (below[place + np.uint32(1)] - bottom)
        image[i * channels + channel] = top + offset_y[i] * (bottom - top)


def change_contrast(image, change):
    # The image = its mean + (1 + change) times what each number is above it.
    size = image.shape[0]
    mean = lane_sum(image, 0, size) / real(size)
    sync()
    for i in by_threads(size):
        image[i] = mean + (real(1) + change) * (image[i] - mean)
