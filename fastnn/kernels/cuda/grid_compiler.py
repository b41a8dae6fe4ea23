"""The part of a grid's compiler that does not depend on who its threads are."""

from functools import cached_property

from fastnn.kernels import elementary
from fastnn.kernels.cuda import lanes, lead, tiles


class GridCompiler:
    """What templates leave open on a grid; see `fastnn.kernels.compiler.Compiler`.

    Subclasses compile. They have ``device_names``, the names that no precision has a part in,
    ``from_lane(precision)`` and ``registers(precision, tile)``.

    Parameters
    ----------
    n_threads : int
        Threads of a block.

    Attributes
    ----------
    tiles : dict
        Of each precision, the tiles for products of few elements and of many.
    """

    def __init__(self, n_threads):
        self.n_threads = n_threads
        self.tiles = {name: tiles.tiles_of(n_threads, name) for name in ("float32", "float64")}
        self._names, self._products = {}, {}

    @cached_property
    def fast_bytes(self):
        """Bytes of fast memory that a block's products need, and what lies before them."""
        itemsizes = {"float32": 4, "float64": 8}
        return lead.STEP_BYTES + max(
            tile.fast_bytes(itemsizes[name]) for name, own in self.tiles.items() for tile in own
        )

    def names(self, precision):
        if precision not in self._names:
            # Products that units make on their way have few elements.
            names = self.product_functions(precision, self.tiles[precision][0])
            multiply = self.bind(tiles.call_multiply, f"call_multiply_{precision}", **names)
            self._names[precision] = self.device_names | {"call_multiply": multiply}
        return self._names[precision]

    def product_functions(self, precision, tile):
        """The functions of tiles.py for one tile, by their names, and all that they leave open."""
        if (precision, tile) not in self._products:
            names = elementary.bindings(self, precision) | self.device_names
            names |= tile.names() | self.registers(precision, tile)
            for part in tiles.PARTS:
                name = f"{part.__name__}_{tile.label}_{precision}"
                names[part.__name__] = self.bind(part, name, **names)
            self._products[precision, tile] = names
        return self._products[precision, tile]

    def lane_sum(self, precision, of):
        names = elementary.bindings(self, precision) | self.device_names
        names["from_lane"] = self.from_lane(precision)
        add = lanes.ACCUMULATE[of]
        names["accumulate"] = self.bind(add, f"{add.__name__}_{precision}", **names)
        return self.bind(lanes.lane_sum, f"lane_sum_{of}_{precision}", **names)
