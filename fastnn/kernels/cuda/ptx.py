"""Instructions of PTX as functions for templates, and memory of a block."""

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.numba_internals import emit_array

WORD, INT32 = ir.IntType(64), ir.IntType(32)
IR = {nb.int32: INT32, nb.int64: WORD, nb.float32: ir.FloatType(), nb.float64: ir.DoubleType()}
LETTERS = {nb.int32: "r", nb.int64: "l", nb.float32: "f", nb.float64: "d"}
SHARED = 3  # the number of shared memory's address space


def instruction(text, returns, arguments, *, reads_only=False):
    """A function of ``arguments`` that is the PTX ``text``, with its result numbered first.

    One that ``reads_only`` may be moved or left out, as it does nothing but make its result.
    """
    outputs = [] if returns is nb.void else [returns]
    constraints = ["=" + LETTERS[kind] for kind in outputs] + [LETTERS[kind] for kind in arguments]
    constraints += [] if reads_only else ["~{memory}"]
    result = IR[returns] if outputs else ir.VoidType()

    def codegen(context, builder, signature, values):
        function = ir.FunctionType(result, [IR[kind] for kind in arguments])
        value = builder.asm(function, text, ",".join(constraints), values, not reads_only)
        return value if outputs else context.get_dummy_value()

    signature = returns(*arguments)
    by_arity = {
        0: lambda typingctx: (signature, codegen),
        1: lambda typingctx, a: (signature, codegen),
        2: lambda typingctx, a, b: (signature, codegen),
    }
    return intrinsic(by_arity[len(arguments)])


thread_index = instruction("mov.u32 $0, %tid.x;", nb.int32, [], reads_only=True)
block_index = instruction("mov.u32 $0, %ctaid.x;", nb.int32, [], reads_only=True)
block_count = instruction("mov.u32 $0, %nctaid.x;", nb.int32, [], reads_only=True)
wait_for_block = instruction("bar.sync 0;", nb.void, [])
load_acquire = instruction("ld.acquire.gpu.global.u64 $0, [$1];", nb.int64, [nb.int64])
add_release = instruction("atom.add.release.gpu.global.u64 $0, [$1], $2;", nb.int64, [nb.int64] * 2)

# The value of the lane whose number differs by one bit.
FROM_LANE = {
    "float32": instruction(
        "shfl.sync.bfly.b32 $0, $1, $2, 0x1f, 0xffffffff;", nb.float32, [nb.float32, nb.int32]
    ),
    "float64": instruction(
        "{ .reg .b32 low, high; mov.b64 {low, high}, $1; "
        "shfl.sync.bfly.b32 low, low, $2, 0x1f, 0xffffffff; "
        "shfl.sync.bfly.b32 high, high, $2, 0x1f, 0xffffffff; mov.b64 $0, {low, high}; }",
        nb.float64,
        [nb.float64, nb.int32],
    ),
}


def _fast_pointer(builder):
    """Where a block's dynamic shared memory begins, in its own address space."""
    name, kind = "fastnn_fast_memory", ir.ArrayType(ir.IntType(8), 0)
    place = builder.module.globals.get(name)
    if place is None:
        place = ir.GlobalVariable(builder.module, kind, name, addrspace=SHARED)
        place.linkage, place.align = "external", 16
    return builder.bitcast(place, ir.IntType(8).as_pointer(SHARED))


@intrinsic
def fast_memory(typingctx):
    """The address at which a block's fast memory begins."""

    def codegen(context, builder, signature, values):
        place = builder.addrspacecast(_fast_pointer(builder), ir.IntType(8).as_pointer())
        return builder.ptrtoint(place, WORD)

    return nb.int64(), codegen


@intrinsic
def fast_view(typingctx, first_byte, size, dtype):
    """The ``size`` elements of ``dtype`` from a byte of the block's fast memory on."""
    array_type = nb.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, signature, values):
        element = context.get_data_type(array_type.dtype)
        place = builder.gep(_fast_pointer(builder), [values[0]])
        place = builder.bitcast(place, element.as_pointer(SHARED))
        data = builder.addrspacecast(place, element.as_pointer())
        return emit_array(context, builder, array_type, data, values[1])

    return array_type(nb.int64, nb.int64, dtype), codegen


def make_fetch(n, precision):
    """``fetch(source, at, target, to)``: n elements of fast memory, by loads of up to 16 bytes."""
    element = IR[getattr(nb, precision)]
    itemsize = {"float32": 4, "float64": 8}[precision]
    vector = ir.VectorType(element, n)

    @intrinsic
    def fetch(typingctx, source, at, target, to):
        def codegen(context, builder, signature, values):
            arrays = signature.args[0], signature.args[2]
            data, own = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(arrays, (values[0], values[2]), strict=True)
            )
            place = builder.gep(data, [values[1]])
            place = builder.addrspacecast(place, element.as_pointer(SHARED))
            place = builder.bitcast(place, vector.as_pointer(SHARED))
            loaded = builder.load(place, align=min(16, n * itemsize))
            for item in range(n):
                to = builder.gep(own, [builder.add(values[3], ir.Constant(WORD, item))])
                builder.store(builder.extract_element(loaded, ir.Constant(INT32, item)), to)
            return context.get_dummy_value()

        return nb.void(source, nb.int64, target, nb.int64), codegen

    return fetch


def make_registers(n, precision):
    """An intrinsic that makes an array of n, which registers take the place of."""
    scalar = getattr(nb, precision)
    array_type = nb.Array(scalar, 1, "C")

    @intrinsic
    def registers(typingctx):
        def codegen(context, builder, signature, values):
            kind = ir.ArrayType(IR[scalar], n)
            with builder.goto_entry_block():
                place = builder.alloca(kind)
            data = builder.bitcast(place, IR[scalar].as_pointer())
            return emit_array(context, builder, array_type, data, ir.Constant(WORD, n))

        return array_type(), codegen

    return registers


def make_load_words(n):
    """``load_words(at)``: n words, a tuple of int64."""
    words_type = nb.UniTuple(nb.int64, n)

    @intrinsic
    def load_words(typingctx, at):
        def codegen(context, builder, signature, values):
            words = builder.inttoptr(values[0], WORD.as_pointer())
            own = [builder.load(builder.gep(words, [ir.Constant(WORD, j)])) for j in range(n)]
            return context.make_tuple(builder, words_type, own)

        return words_type(nb.int64), codegen

    return load_words


def make_call_unit(names):
    """``call_unit(number, step, task, count, arguments_at)`` for units of these names, in order."""

    @intrinsic
    def call_unit(typingctx, number, step, task, count, arguments_at):
        def codegen(context, builder, signature, values):
            number, step, task, _, arguments_at = values
            done = builder.append_basic_block("done")
            switch = builder.switch(number, done)
            for place, name in enumerate(names):
                block = builder.append_basic_block(name)
                switch.add_case(ir.Constant(WORD, place), block)
                builder.position_at_end(block)
                kind = ir.FunctionType(WORD, [WORD] * 3)
                function = builder.module.globals.get(name)
                if function is None:
                    function = ir.Function(builder.module, kind, name)
                builder.call(function, [step, task, arguments_at])
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return nb.void(*[nb.int64] * 5), codegen

    return call_unit
