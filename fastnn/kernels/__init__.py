"""The compiled core. A tour, in the order of the imports (each may use those before it):

- ``activations``, ``losses``, ``optimizer_rule``, ``optimizers``: the mathematics, plain scalar
  functions and the registries. To add one, add an entry; these modules never import Numba.
- ``dispatchers``, ``numba_internals``: all that the kernels use of Numba and that it does not
  promise to keep, and the range of versions that have it.
- ``cpu.cache``: where compiled code is kept on disk, and the lock around compilation.
- ``cpu.jit``: the only place that compiles. A *unit* is a loop bound to one piece of mathematics
  and one precision, compiled as a function of int64 and known by its address.
- ``named``: numbers that compiled code reads and writes by names.
- ``cpu.simd``: LLVM intrinsics: the register tile of the matmul, sums with fixed lanes.
- ``cpu.floats``: the like on single floats: fma, polynomials, and the parts of a float.
- ``cpu.atomics``: words that threads share, and waiting for them.
- ``random``: numbers that depend on a key and a place alone, for dropout and augmentation.
- ``elementary``: exp, log, tanh and the like that vectorise and are the same everywhere.
- ``cpu.matmul``: the blocked matmul on the tile, and packing.
- ``units``: the loops of a training step, one template each.
- ``cpu.products``, ``output_units``, ``dropout``, ``image_units``, ``muon_units``: more of these,
  as their names say.
- ``fingerprint``: what a user's function means, as a hash of all that it reaches.
- ``catalog``: which units there are, and what their templates are bound to.
- ``cpu.threads``: how many threads a piece of work may have.
- ``cpu.helpers``: threads of our own that take part in it.
- ``plan``: a table of units, and what runs it, on one thread or many.
- ``cpu.pace``: runs a plan in slices of time.
- ``muon``, ``augmentation``: Muon in a step, and augmentation of images, in a step or by itself.
- ``masks``, ``cpu.packing``: the keys of dropout's masks, and packed weights.
- ``layers.base``, ``layers.dense``, ``layers.batch_norm`` and so on: what a layer adds to a pass,
  with the units that are its own, one kind of layer a file; ``layers.kinds`` is their registry.
- ``buffers``, ``inputs``: the matrices between the layers, and the input of the first.
- ``passes``: a pass, which asks its layers for their units, and what all plans share.
- ``prediction``: the forward pass; small predictions keep their plan for the next.
- ``evaluation``: outputs and losses of a validation set, after each epoch.
- ``inspection``: a hidden layer's activations, and gradients with respect to the inputs.
- ``trainer``: the plan of a step of training.
- ``perceptron``: Rosenblatt's rule, one sample at a time, and its sums.
- ``cpu.backend``: the CPU backend, and the plan for full-batch gradients.

Rules of the kernels: float constants are written ``real(0.5)``; nothing is reassociated (no
``fastmath``), sums run in a fixed order; what has a different result on another machine, such as
the C library's ``exp``, is not called; a unit writes only what its task owns; nothing raises.
"""

# The modules, in that order. The cache on disk knows the kernels by the code of all of these.
MODULES = (
    "activations", "losses", "optimizer_rule", "optimizers", "dispatchers", "numba_internals",
    "cpu.cache", "cpu.jit", "named", "cpu.simd", "cpu.floats", "cpu.atomics", "random",
    "elementary", "cpu.matmul", "units", "cpu.products", "output_units", "dropout",
    "image_units", "muon_units", "fingerprint", "catalog", "cpu.threads", "cpu.helpers", "plan",
    "cpu.pace", "augmentation", "muon", "masks", "cpu.packing", "layers.base", "layers.activation",
    "layers.batch_norm", "layers.dense", "layers.dropout", "layers.kinds", "buffers", "inputs",
    "passes", "prediction", "evaluation", "inspection", "trainer", "perceptron", "cpu.backend",
)  # fmt: skip
