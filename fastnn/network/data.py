"""The samples that a network is trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Data:
    """The samples that a network is trained on.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features), float32 or float64
        Any strides; CSR with sorted indices.
    y : ndarray of shape (n, n_targets)
        Class indices (n, 1) for the softmax loss, else one column per output.
    sample_weight : ndarray of shape (n,) or None
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None = None
