"""The base class of layers, and the blocks of parameters that a layer has."""

from enum import IntEnum, auto
from math import prod
from typing import ClassVar, NamedTuple


class Role(IntEnum):
    """The role of a block of parameters. Its number is its rank in the flat vector; see layout.py.

    Penalties and weight decay are for weights alone. Statistics are not learned: the forward pass
    of training moves them.
    """

    WEIGHTS = auto()
    BIASES = auto()
    NORMS = auto()
    SLOPES = auto()
    OTHERS = auto()
    STATISTICS = auto()


class Block(NamedTuple):
    """Parameters of a layer that belong together.

    Parameters
    ----------
    name : str
        Unique in the layer.
    shape : tuple of int
    role : Role
    initial : float
        The value that training begins with, where the layer draws none.
    """

    name: str
    shape: tuple[int, ...]
    role: Role = Role.OTHERS
    initial: float = 0.0

    @property
    def size(self):
        """Number of the parameters."""
        return prod(self.shape)

    @property
    def decay(self):
        """Whether penalties and weight decay are for them."""
        return self.role == Role.WEIGHTS

    @property
    def learned(self):
        """Whether training learns them by their gradient."""
        return self.role < Role.STATISTICS


class Layer:
    """A layer of a network: it makes ``n_out`` values of ``n_in``.

    A kind of layer is a frozen dataclass with these two as attributes. What it computes is a class
    of its own, which `fastnn.kernels.layers.kinds.OPERATIONS` has under ``kind``.
    """

    kind: ClassVar[str]
    # Multiplications of the layer's matrix product for one row, by which the work is estimated.
    n_products = 0

    # The blocks of parameters, a tuple of `Block`.
    blocks = ()

    def initialize(self, views, random_state, weight_init):
        """Set parameters to what training begins with.

        Parameters
        ----------
        views : dict of ndarray
            The parameters, by the names of their blocks.
        random_state : RandomState
        weight_init : str
            "auto" or a key of ``INITIALIZERS``.
        """
        for block in self.blocks:
            views[block.name][...] = block.initial


class SameSize(Layer):
    """A layer that makes ``n`` values of ``n``."""

    @property
    def n_in(self):
        """The number of values that go in."""
        return self.n

    @property
    def n_out(self):
        """The number of values that come out."""
        return self.n
