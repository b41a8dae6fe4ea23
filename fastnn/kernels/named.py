"""Numbers that compiled code reads and writes by names: fields of NamedTuple classes."""

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic


def _places(context, builder, address, index, stride, element, n):
    """Pointers to the elements index, index + stride, ... of those of a type at an address."""
    pointer = context.get_data_type(element).as_pointer()
    base = builder.inttoptr(address, pointer)
    word = ir.IntType(64)
    for i in range(n):
        shift = builder.mul(stride, ir.Constant(word, i))
        yield builder.gep(base, [builder.add(index, shift)])


@intrinsic
def load(typingctx, address, index, stride, dtype, fields):
    """The class ``fields`` of elements of ``dtype`` at ``address``: index, index + stride, ..."""
    n = len(fields.instance_class._fields)
    result = nb.NamedUniTuple(dtype.dtype, n, fields.instance_class)

    def codegen(context, builder, signature, values):
        address, index, stride, _, _ = values
        places = _places(context, builder, address, index, stride, dtype.dtype, n)
        return context.make_tuple(builder, result, [builder.load(place) for place in places])

    return result(nb.int64, nb.int64, nb.int64, dtype, fields), codegen


@intrinsic
def store(typingctx, address, index, stride, dtype, numbers):
    """Write numbers to elements of ``dtype`` at ``address``: index, index + stride, ..."""

    def codegen(context, builder, signature, values):
        address, index, stride, _, numbers_value = values
        n = len(numbers.types)
        places = _places(context, builder, address, index, stride, dtype.dtype, n)
        for i, (place, kind) in enumerate(zip(places, numbers.types, strict=True)):
            value = builder.extract_value(numbers_value, i)
            builder.store(context.cast(builder, value, kind, dtype.dtype), place)
        return context.get_dummy_value()

    return nb.void(nb.int64, nb.int64, nb.int64, dtype, numbers), codegen
