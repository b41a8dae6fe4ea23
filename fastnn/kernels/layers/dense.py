"""Dense layers: products of matrices, which each machine has its own way to do."""

from typing import Protocol

from fastnn.kernels import catalog
from fastnn.kernels.layers.base import Operations, Parameters


class DenseProducts(Protocol):
    """The products of one dense layer in a plan, by a machine; none of them with a sparse X.

    Attributes
    ----------
    is_packed : bool
        Whether there are weights to be packed before a pass.
    weight_block : int
        Rows of the weight matrix in a task, whole segments.
    gradient_tasks : int
        The tasks in which the gradient of the weights is made.
    """

    def add_forward(self):
        """In a chain over rows, as `Operations.add_forward`: input times weights, plus biases."""

    def add_backward(self):
        """In a chain over rows, as `Operations.add_backward`: delta times transposed weights."""

    def add_part_gradients(self):
        """What the rows add to gradients in parts: in a chain over rows after the way back.

        Where the machine does not join the phases of a step, it begins chains for that.
        """

    def add_weight_gradient(self, gradient, init):
        """In a chain of ``gradient_tasks``: the gradient of the weights."""

    def add_bias_gradient(self, gradient, init):
        """In a chain of one task: the gradient of the biases."""

    def add_packing(self, plan):
        """In a chain over rows of the weight matrix: pack these for the passes to come."""


class DenseOperations(Operations):
    """The operations of a `fastnn.network.layers.dense.Dense`."""

    reads_in_place = reads_sparse = writes_moving = True

    def __init__(self, layer, places, room, common):
        super().__init__(layer, places, room, common)
        self.products = common.machine.dense_products(self)
        self.is_packed = self.products.is_packed
        self.weight_block = self.products.weight_block
        self.weight_tasks = -(-layer.n_in // self.weight_block)

    @classmethod
    def reads_again(cls, layer):
        return True, False

    # ---- the rows of a mini-batch --------------------------------------------------

    def add_forward(self):
        if self.room.input is not None:
            self.products.add_forward()
            return
        common, target = self.common, self.room.output
        common.plan.add(
            catalog.csr_matmul_unit(common.precision),
            **common.source.csr,
            weights_at=self.part(common.params, "weights"),
            c_at=target.matrix,
            c_moving=target.moves,
            ld=target.stride,
            bias_at=self.part(common.params, "biases"),
            n=self.layer.n_out,
            block=common.row_block,
        )

    def add_backward(self, gradient):
        if self.room.input_delta is not None:
            self.products.add_backward()

    def add_part_gradients(self):
        self.products.add_part_gradients()

    # ---- the parameters ------------------------------------------------------------

    def parameters(self):
        return [_Weights(self, [self.places["weights"]]), _Biases(self, [self.places["biases"]])]

    def add_weight_gradient(self, gradient, init):
        """In a chain over rows of the weight matrix: the gradient of these."""
        if self.room.input is not None:
            self.products.add_weight_gradient(gradient, init)
            return
        common, delta = self.common, self.room.delta
        common.plan.add(
            catalog.csr_gradient_unit(common.precision),
            **common.source.csr,
            delta_at=delta.matrix,
            ld=delta.stride,
            gradient_at=self.part(gradient, "weights"),
            n=self.layer.n_out,
            n_features=self.layer.n_in,
            init=init,
            block=self.weight_block,
        )

    def add_preparation(self, plan):
        plan.chain(tasks=self.weight_tasks)
        self.products.add_packing(plan)


class _Weights(Parameters):
    """The weights, in blocks of rows."""

    is_matrix = True

    def __init__(self, operations, places):
        super().__init__(operations, places)
        layer, block = operations.layer, operations.weight_block
        self.tasks = operations.weight_tasks
        self.place["block"] = block * layer.n_out
        self.shape = (layer.n_in, layer.n_out, block)

    @property
    def gradient_tasks(self):
        operations = self.operations
        is_product = operations.room.input is not None and not operations.common.in_parts
        return operations.products.gradient_tasks if is_product else self.tasks

    def add_gradient(self, gradient, init):
        if self.operations.common.in_parts:
            self.operations.common.add_sum_parts(gradient, **self.place)
        else:
            self.operations.add_weight_gradient(gradient, init)

    def add_rest(self, plan):
        self.operations.products.add_packing(plan)


class _Biases(Parameters):
    """The biases."""

    def add_gradient(self, gradient, init):
        if self.operations.common.in_parts:
            self.operations.common.add_sum_parts(gradient, **self.place)
        else:
            self.operations.products.add_bias_gradient(gradient, init)
