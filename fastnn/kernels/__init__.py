"""The compiled core. A tour, in the order of the imports (each may use those before it):

- ``activations``, ``losses``, ``optimizer_rule``, ``optimizers``: the mathematics, plain scalar
  functions and the registries. To add one, add an entry; these modules never import Numba.
- ``dispatchers``, ``numba_internals``: all that the kernels use of Numba and that it does not
  promise to keep, and the range of versions that have it.
- ``cache``: where compiled code is kept on disk, and the lock around compilation.
- ``memory``, ``named``: arrays at an address, and numbers there that have names.
- ``floats``: LLVM intrinsics on single floats: fma, polynomials, and the parts of a float.
- ``random``: numbers that depend on a key and a place alone, for dropout and augmentation.
- ``elementary``: exp, log, tanh and the like that vectorise and are the same everywhere.
- ``compiler``, ``machine``: what the kernels need of a device. The first has the names by which
  templates share out their loops.
- ``plan``: a pass over mini-batches as a table of units.
- ``units``: the loops of a training step, one template each.
- ``csr_units``, ``output_units``, ``dropout``, ``image_units``, ``muon_units``: more of these, as
  their names say.
- ``fingerprint``: what a user's function means, as a hash of all that it reaches.
- ``catalog``: which units there are, and what their templates are bound to.
- ``muon``, ``augmentation``: Muon in a step, and augmentation of images, in a step or by itself.
- ``masks``: the keys of dropout's masks.
- ``layers.base``, ``layers.dense``, ``layers.batch_norm`` and so on: what a layer adds to a pass,
  with the units that are its own, one kind of layer a file; ``layers.kinds`` is their registry.
- ``buffers``, ``inputs``: the matrices between the layers, and the input of the first.
- ``passes``: a pass, which asks its layers for their units, and what all plans share.
- ``prediction``: the forward pass; small predictions keep their plan for the next.
- ``evaluation``: outputs and losses of a validation set, after each epoch.
- ``inspection``: a hidden layer's activations, and gradients with respect to the inputs.
- ``trainer``: the plan of a step of training.
- ``objective``: the plan for full-batch losses and gradients.
- ``verbs``: these as the verbs of a backend.

Then the CPU:

- ``cpu.jit``: the only place that compiles for it. A *unit* is a loop bound to one piece of
  mathematics and one precision, compiled as a function of int64 and known by its address.
- ``cpu.simd``: LLVM intrinsics: the register tile of the matmul, sums with fixed lanes.
- ``cpu.atomics``: words that threads share, and waiting for them.
- ``cpu.matmul``: the blocked matmul on the tile, and packing.
- ``cpu.compiler``: the compiler as the catalog knows it.
- ``cpu.products``: units of products, for the matmul.
- ``cpu.threads``, ``cpu.helpers``: how many threads a piece of work may have, and threads of our
  own that take part in it.
- ``cpu.lead``, ``cpu.pace``: what runs a plan, on one thread or many; and in slices of time.
- ``cpu.dense``, ``cpu.square``: the products of dense layers and of Muon in a plan.
- ``cpu.machine``: the machine.
- ``cpu.perceptron``: Rosenblatt's rule, one sample at a time, and its sums.
- ``cpu.backend``: the CPU backend.

And GPUs, of whose kernels all but their own instructions can be run by threads of the system, too:

- ``cuda.lead``: what every thread of every block does to go through a plan.
- ``cuda.lanes``: how the threads of a block share loops, and sums.
- ``cuda.tiles``, ``cuda.products``: products of matrices by tiles, and their units.
- ``cuda.dense``, ``cuda.square``: the products of dense layers and of Muon in a plan.
- ``cuda.memory``: memory of a device, as plans see it.
- ``cuda.reckoning``: how much memory a training takes.
- ``cuda.program``, ``cuda.pace``: what runs a plan, and in slices of time.
- ``cuda.machine``: a grid of blocks, as plans see it.
- ``cuda.packages``, ``cuda.ptx``: the seam to numba-cuda, and instructions of PTX.
- ``cuda.grid_compiler``: the names that a grid's templates leave open, whoever its threads are.
- ``cuda.compiler``: units in PTX, and the kernel of a plan.
- ``cuda.driver``: NVIDIA's driver: devices, their memory, and launches.
- ``cuda.backend``: the backend of a GPU.

Rules of the kernels: float constants are written ``real(0.5)``; nothing is reassociated (no
``fastmath``), sums run in a fixed order; what has a different result on another machine, such as
the C library's ``exp``, is not called; a unit writes only what its task owns; nothing raises.
"""

# The modules, in that order. The cache on disk knows the kernels by the code of all of these.
MODULES = (
    "activations", "losses", "optimizer_rule", "optimizers", "dispatchers", "numba_internals",
    "cache", "memory", "named", "floats", "random", "elementary", "compiler", "machine", "plan",
    "units", "csr_units", "output_units", "dropout", "image_units", "muon_units", "fingerprint",
    "catalog", "muon", "masks", "layers.base", "layers.activation", "layers.batch_norm",
    "layers.dense", "layers.dropout", "layers.kinds", "buffers", "augmentation", "inputs",
    "passes", "prediction", "evaluation", "inspection", "trainer", "objective", "verbs",
    "cpu.jit", "cpu.simd", "cpu.atomics", "cpu.matmul", "cpu.compiler", "cpu.products",
    "cpu.threads", "cpu.helpers", "cpu.lead", "cpu.pace", "cpu.dense", "cpu.square",
    "cpu.machine", "cpu.perceptron", "cpu.backend", "cuda.lead", "cuda.lanes", "cuda.tiles",
    "cuda.products", "cuda.dense", "cuda.square", "cuda.memory", "cuda.reckoning",
    "cuda.program", "cuda.pace", "cuda.machine", "cuda.packages", "cuda.ptx",
    "cuda.grid_compiler", "cuda.compiler", "cuda.driver", "cuda.backend",
)  # fmt: skip
