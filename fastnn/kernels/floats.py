"""Intrinsics on single floats: fma, polynomials, and the parts of a float. They know no device.

Loops over them vectorise. Results never depend on the processor, as every fma is explicit.
"""

import numpy as np
from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

IR_TYPES = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
NUMBA_TYPES = {"float32": nb.float32, "float64": nb.float64}


def declare(module, name, returns, arguments):
    """The function of that name and type, declared in a module of LLVM's."""
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(returns, arguments), name)


def declare_fma(module, value_type):
    """LLVM's fma for a float or a vector of floats."""
    if isinstance(value_type, ir.VectorType):
        letter = "f32" if isinstance(value_type.element, ir.FloatType) else "f64"
        name = f"llvm.fma.v{value_type.count}{letter}"
    else:
        name = "llvm.fma.f32" if isinstance(value_type, ir.FloatType) else "llvm.fma.f64"
    return declare(module, name, value_type, [value_type] * 3)


def make_fma(precision):
    """``fma(x, y, z)``: x * y + z, rounded once."""
    real = NUMBA_TYPES[precision]

    @intrinsic
    def fma(typingctx, x, y, z):
        def codegen(context, builder, signature, values):
            return builder.call(declare_fma(builder.module, IR_TYPES[precision]), values)

        return real(real, real, real), codegen

    return fma


def make_polynomial(precision, coefficients):
    """``polynomial(x)`` with these coefficients, highest power first, by Horner's rule with fma."""
    real, element = NUMBA_TYPES[precision], IR_TYPES[precision]
    # Rounded to the precision first: LLVM refuses a float32 constant with more digits.
    constants = [ir.Constant(element, float(np.dtype(precision).type(c))) for c in coefficients]

    @intrinsic
    def polynomial(typingctx, x):
        def codegen(context, builder, signature, values):
            fma = declare_fma(builder.module, element)
            value = constants[0]
            for constant in constants[1:]:
                value = builder.call(fma, [value, values[0], constant])
            return value

        return real(real), codegen

    return polynomial


# A format is a float as an integer, the bits of its fraction, and its exponent's bias.
FORMATS = {"float32": (ir.IntType(32), 23, 127), "float64": (ir.IntType(64), 52, 1023)}


def make_power_of_two(precision):
    """``power_of_two(t)``: 2**n, for t = n + 1.5 * 2**fraction_bits, n a whole number.

    Adding that magic number to x rounds x to a whole number and leaves it in t's low bits.
    """
    word, fraction, bias = FORMATS[precision]
    real = NUMBA_TYPES[precision]

    @intrinsic
    def power_of_two(typingctx, t):
        def codegen(context, builder, signature, values):
            bits = builder.bitcast(values[0], word)
            exponent = builder.add(bits, ir.Constant(word, bias))
            return builder.bitcast(
                builder.shl(exponent, ir.Constant(word, fraction)), IR_TYPES[precision]
            )

        return real(real), codegen

    return power_of_two


def _split(precision, part):
    """Emit exponent e or mantissa m of x = m * 2**e with m in [sqrt(1/2), sqrt(2))."""
    word, fraction, _ = FORMATS[precision]
    real = NUMBA_TYPES[precision]
    root_half = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}[precision]

    @intrinsic
    def split(typingctx, x):
        def codegen(context, builder, signature, values):
            bits = builder.bitcast(values[0], word)
            above = builder.sub(bits, ir.Constant(word, root_half))
            exponent = builder.ashr(above, ir.Constant(word, fraction))
            if part == "exponent":
                return builder.sitofp(exponent, IR_TYPES[precision])
            shifted = builder.shl(exponent, ir.Constant(word, fraction))
            return builder.bitcast(builder.sub(bits, shifted), IR_TYPES[precision])

        return real(real), codegen

    return split


def make_exponent(precision):
    """``exponent(x)``: the e of x = m * 2**e, as a float, for normal x > 0."""
    return _split(precision, "exponent")


def make_mantissa(precision):
    """``mantissa(x)``: the m in [sqrt(1/2), sqrt(2)) of x = m * 2**e."""
    return _split(precision, "mantissa")
