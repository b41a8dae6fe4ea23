"""Memory that compiled code knows by its address, as 1-D arrays; and division of whole numbers.

The intrinsics know no device. One whose addresses need more care binds functions of its own to
these names.
"""

from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.numba_internals import emit_array


@intrinsic
def quotient(typingctx, size, divisor):
    """size // divisor for numbers not below zero; Numba's own ``//`` takes long to compile."""

    def codegen(context, builder, signature, values):
        return builder.udiv(*values)

    return nb.int64(nb.int64, nb.int64), codegen


@intrinsic
def remainder(typingctx, size, divisor):
    """size % divisor for numbers not below zero."""

    def codegen(context, builder, signature, values):
        return builder.urem(*values)

    return nb.int64(nb.int64, nb.int64), codegen


def _emit_pointer(context, builder, array_type, address):
    return builder.inttoptr(address, context.get_data_type(array_type.dtype).as_pointer())


@intrinsic
def view(typingctx, address, size, dtype):
    """The ``size`` elements of ``dtype`` at ``address``, as a 1-D array."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        data = _emit_pointer(context, builder, array_type, values[0])
        return emit_array(context, builder, array_type, data, values[1])

    return array_type(nb.int64, nb.int64, dtype), codegen


@intrinsic
def span(typingctx, address, first, last, dtype):
    """The elements from ``first`` to ``last`` of those of ``dtype`` at ``address``."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        address, first, last, _ = values
        data = builder.gep(_emit_pointer(context, builder, array_type, address), [first])
        return emit_array(context, builder, array_type, data, builder.sub(last, first))

    return array_type(nb.int64, nb.int64, nb.int64, dtype), codegen


@intrinsic
def part(typingctx, array, first, last):
    """The elements from ``first`` to ``last`` of a 1-D array. Slices take Numba long to compile."""

    def codegen(context, builder, signature, values):
        whole, first, last = values
        data = context.make_array(array)(context, builder, whole).data
        return emit_array(
            context, builder, array, builder.gep(data, [first]), builder.sub(last, first)
        )

    return array(array, nb.int64, nb.int64), codegen
