"""The flat vector that holds every parameter of a network, and where each block lies in it.

Blocks lie in the order of their roles (`fastnn.network.layers.base.Role`), and those of one role in
the order of the layers. So all weights come first and all biases after them, as L-BFGS and
scikit-learn pack theirs; penalties are for one slice; and what is not learned comes last. The order
decides the bits of a training, and what a pickle means.
"""

from dataclasses import dataclass
from typing import NamedTuple

from fastnn.network.layers.base import Block


class Place(NamedTuple):
    """The place of a block in the flat vector: it begins at ``offset``."""

    block: Block
    offset: int

    @property
    def end(self):
        """One past its last parameter."""
        return self.offset + self.block.size

    def view(self, vector):
        """The block's parameters, a view of the flat vector in the block's shape."""
        return vector[self.offset : self.end].reshape(self.block.shape)


def _role(entry):
    return entry[1].role


@dataclass(frozen=True)
class Layout:
    """The places of all blocks.

    Parameters
    ----------
    places : tuple of dict
        For each layer, a `Place` by the name of each of its blocks, in the flat vector's order.
    n_decayed, n_learned, n_params : int
        Number of the parameters that penalties are for, which come first; of these and all others
        that training learns; and of all.
    """

    places: tuple[dict[str, Place], ...]
    n_decayed: int
    n_learned: int
    n_params: int

    @classmethod
    def of(cls, layers):
        """The layout of a sequence of layers."""
        places = tuple({} for _ in layers)
        blocks = [
            (of_layer, block)
            for of_layer, layer in zip(places, layers, strict=True)
            for block in layer.blocks
        ]
        # A stable sort: blocks of one role stay in the order of the layers.
        blocks.sort(key=_role)
        n_decayed = n_learned = end = 0
        for of_layer, block in blocks:
            of_layer[block.name] = Place(block, end)
            end += block.size
            n_decayed = end if block.decay else n_decayed
            n_learned = end if block.learned else n_learned
        return cls(places, n_decayed, n_learned, end)

    def views(self, vector):
        """The parameters of each layer, a list of dicts of views by the blocks' names."""
        return [
            {name: place.view(vector) for name, place in places.items()} for places in self.places
        ]
