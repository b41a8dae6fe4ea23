"""The flat vector that holds every parameter of a network, and where each block lies in it.

Blocks lie in the order of their roles (`fastnn.network.layers.base.Role`), and those of one role in
the order of the layers. So all weights come first and all biases after them, as L-BFGS and
scikit-learn pack theirs; penalties are for one slice; and what is not learned comes last. The order
decides the bits of a training, and what a pickle means.
"""

from dataclasses import dataclass

from fastnn.network.layers.base import Block


@dataclass(frozen=True)
class Place:
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


@dataclass(frozen=True)
class Layout:
    """The places of all blocks.

    Parameters
    ----------
    places : tuple of dict
        For each layer, a `Place` by the name of each of its blocks, in their order.
    """

    places: tuple[dict[str, Place], ...]

    @classmethod
    def of(cls, layers):
        """The layout of a sequence of layers."""
        blocks = [(i, block) for i, layer in enumerate(layers) for block in layer.blocks]
        offsets, end = {}, 0
        # A stable sort: blocks of one role stay in the order of the layers.
        for i, block in sorted(blocks, key=lambda entry: entry[1].role):
            offsets[i, block.name] = end
            end += block.size
        places = tuple({} for _ in layers)
        for i, block in blocks:
            places[i][block.name] = Place(block, offsets[i, block.name])
        return cls(places)

    def count(self, of=lambda block: True):
        """The number of parameters in the blocks for which ``of(block)`` holds."""
        blocks = (place.block for places in self.places for place in places.values())
        return sum(block.size for block in blocks if of(block))

    def views(self, vector):
        """The parameters of each layer, a list of dicts of views by the blocks' names."""
        return [
            {name: place.view(vector) for name, place in places.items()} for places in self.places
        ]
