"""How the threads of a block share loops, and sums that the lanes of a warp take together.

Templates, whose names in capitals are of the machine: N_THREADS of a block, N_WARPS, and LANES of a
warp, of which there are 16 at least.
"""

from fastnn.kernels.memory import quotient

# SUM_LANES are those of every sum over many elements, on any device.
SUM_LANES = 16


def lane_number():
    return thread_number() & (LANES - 1)


def by_threads(n):
    return range(thread_number(), n, N_THREADS)


def by_warps(first, last):
    return range(first + quotient(thread_number(), LANES), last, N_WARPS)


def by_lanes(n):
    return range(lane_number(), n, LANES)


def is_first_thread():
    return thread_number() == 0


def lane_sum(x, offset, n):
    # Lane l of the sum adds the elements l, l + 16, l + 32, ... in order; the lanes are then added
    # in halves. Each thread of a warp has one lane, some of them the same one, and all get the sum.
    total = real(0)
    for i in range(lane_number() & (SUM_LANES - 1), n, SUM_LANES):
        total = accumulate(total, x[offset + i])
    total += from_lane(total, 8)
    total += from_lane(total, 4)
    total += from_lane(total, 2)
    total += from_lane(total, 1)
    return total


def add_value(total, x):
    return total + x


def add_square(total, x):
    return fma(x, x, total)


def add_size(total, x):
    return total + (-x if x < real(0) else x)


ACCUMULATE = {"values": add_value, "squares": add_square, "sizes": add_size}
# The functions that say how loops are shared, in the order in which they are to be bound.
PARTS = (lane_number, by_threads, by_warps, by_lanes, is_first_thread)


def names_of(n_threads):
    """The values of the names in capitals."""
    lanes = min(32, n_threads)
    return {"N_THREADS": n_threads, "LANES": lanes, "N_WARPS": n_threads // lanes}
