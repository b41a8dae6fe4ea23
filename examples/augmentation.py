"""Digits as training sees them: originals, and what each of ImageAugmenter's changes does to them.

    python examples/augmentation.py [folder]    # needs the extra "plot"

Saves augmentation.png, by default in examples/pictures. Uses MNIST as mnist.py does. Each column
is one digit; all its copies come from it.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mnist import load
from mnist_augmented import AUGMENTER

from fastnn import ImageAugmenter

SHAPE = (28, 28)
CHANGES = {
    "original": {},
    "shift=3": {"shift": 3},
    "rotate=25": {"rotate": 25},
    "scale=0.3": {"scale": 0.3},
    "scale=(0.3, 0.3)": {"scale": (0.3, 0.3)},
    "skew=0.4": {"skew": 0.4},
    'reflect="horizontal"': {"reflect": "horizontal"},
    "contrast=0.8": {"contrast": 0.8},
    "elastic=(34, 4)": {"elastic": (34, 4)},
    "elastic=(60, 8)": {"elastic": (60, 8)},
    "mnist_augmented.py": AUGMENTER.get_params(),
}


def main(folder, n_digits=10):
    images, digits, _, _ = load()
    X = images[[np.flatnonzero(digits == i % 10)[i] for i in range(n_digits)]]
    figure = Figure(figsize=(0.8 * n_digits, 0.8 * len(CHANGES)))
    axes = figure.subplots(len(CHANGES), n_digits)
    for row, (name, settings) in zip(axes, CHANGES.items(), strict=True):
        settings = {"image_shape": SHAPE} | settings | {"random_state": 0}
        augmenter = ImageAugmenter(**settings)
        for axis, image in zip(row, augmenter.transform(X), strict=True):
            axis.imshow(image.reshape(SHAPE), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    path = Path(folder) / "augmentation.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, bbox_inches="tight")
    print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
