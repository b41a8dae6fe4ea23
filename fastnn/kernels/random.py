"""Random decisions that depend on a key and a place alone: no thread, no order, no state.

A counter-based generator: a place's number is mixed with a key of 64 bits by the 32-bit finaliser
of Wellons' hash prospector ("lowbias32"), once with each half of the key. Keys come from a seed,
the number of the step and that of the layer, or the row, by the finaliser of SplitMix64.
"""

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

HALF = ir.IntType(32)
WORD = ir.IntType(64)
GOLDEN_32, GOLDEN_64 = 0x9E3779B9, 0x9E3779B97F4A7C15


def _constant(value, bits):
    """The bits of an unsigned number as LLVM's signed constant."""
    return ir.Constant(bits, value - (1 << bits.width) if value >> (bits.width - 1) else value)


def _mixed(builder, x, shifts, factors):
    """x ^= x >> shift; x *= factor, in turn; a last shift without a factor."""
    for i, shift in enumerate(shifts):
        x = builder.xor(x, builder.lshr(x, ir.Constant(x.type, shift)))
        if i < len(factors):
            x = builder.mul(x, _constant(factors[i], x.type))
    return x


def _random_bits(builder, key, place):
    """The 32 random bits of a place."""
    low = builder.trunc(key, HALF)
    high = builder.trunc(builder.lshr(key, ir.Constant(WORD, 32)), HALF)
    x = builder.mul(builder.trunc(place, HALF), _constant(GOLDEN_32, HALF))
    for half in (low, high):
        x = builder.xor(x, half)
        x = _mixed(builder, x, (16, 15, 16), (0x7FEB352D, 0x846CA68B))
    return x


@intrinsic
def is_kept(typingctx, key, place, threshold):
    """Whether the random number in [0, 2**32) of a place is not below the threshold."""

    def codegen(context, builder, signature, values):
        x = _random_bits(builder, *values[:2])
        return builder.icmp_unsigned(">=", x, builder.trunc(values[2], HALF))

    return nb.boolean(nb.int64, nb.int64, nb.int64), codegen


@intrinsic
def random_integer(typingctx, key, place):
    """The random number in [-2**23, 2**23) of a place, which every precision represents."""

    def codegen(context, builder, signature, values):
        return builder.ashr(_random_bits(builder, *values), ir.Constant(HALF, 8))

    return nb.int32(nb.int64, nb.int64), codegen


@intrinsic
def make_key(typingctx, seed, step, layer):
    """The key of a layer in a step."""

    def codegen(context, builder, signature, values):
        x = ir.Constant(WORD, 0)
        for value in values:
            x = builder.xor(x, value)
            x = builder.add(x, _constant(GOLDEN_64, WORD))
            x = _mixed(builder, x, (30, 27, 31), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
        return x

    return nb.int64(nb.int64, nb.int64, nb.int64), codegen
