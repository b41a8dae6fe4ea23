"""Training on the CPU: the plan of a step, and its run over epochs."""

import numpy as np

from fastnn.kernels import catalog, units
from fastnn.kernels.inputs import read
from fastnn.kernels.muon import Orthogonalization
from fastnn.kernels.passes import Pass, cast


class Trainer:
    """Trains a network on mini-batches, in place; see `fastnn.backends.Trainer`.

    A step is these groups: begin, begin_update, rows (see `Pass`), parameters, finish. Where
    the gradient is clipped, "parameters" is two, as all of it has to be there first.
    """

    def __init__(self, network, data, state, *, regularization, batch_size, n_threads):
        self.batch_size = batch_size
        self.state, self.optimizer = state, state.optimizer
        self.regularization = regularization
        params = state.params
        data = cast(data, params.dtype)
        self._keep = data
        source = read(data.X, batch_size, params.dtype, ordered=True)
        shared = Pass(
            network, params, source, n_threads=n_threads, backward=True,
            regularization=regularization,
        )  # fmt: skip
        self.rates = np.zeros(-(-data.X.shape[0] // batch_size))  # (mini-batches,)
        self.gradient = np.zeros_like(params)  # (n_params,)
        self.plan = shared.plan
        self._set_scalars(params.dtype)
        weights = self._add_begin(shared, data.sample_weight)
        shared.add_rows_group(data.y, weights, self.gradient)
        if shared.in_parts:
            shared.add_part_gradients()
        self._add_parameters(shared)
        self._add_finish(shared)
        self.plan.compile()
        self.preparation = shared.preparation()
        self.pace = shared.pace()

    def _set_scalars(self, dtype):
        regularization = self.regularization
        l1 = regularization.alpha * regularization.l1_ratio
        self.scalars = np.zeros(units.N_SCALARS)  # (5,)
        self.scalars[units.ALPHA_1] = l1
        # Decay that is decoupled is no part of the loss.
        if not self.optimizer.rule.decoupled:
            self.scalars[units.ALPHA] = regularization.alpha - l1
        rule = self.optimizer.rule
        self.coefficients = np.zeros(len(rule.coefficients._fields), dtype)
        self.average_weight = np.zeros(1, dtype)  # (1,)
        # The gradient of the sum over a mini-batch becomes that of the mean loss by `Scaling`, in
        # the optimizer's own loop; but before it where more is to be done to the gradient.
        self.is_clipped = regularization.max_grad_norm is not None
        self.is_penalized = self.is_clipped or l1 > 0 or rule.orthogonal
        self.scaling = self.penalty = np.array([1.0, 0.0, 0.0], dtype)  # (3,)
        if self.is_penalized:
            self.penalty = np.zeros_like(self.scaling)

    def _add_begin(self, shared, sample_weight):
        """The groups before "rows"; returns what its `weigh` takes of the weights."""
        precision = shared.precision
        self.plan.group()
        self.plan.chain(tasks=1)
        weights, places = {}, {"scalars_at": self.scalars, "scaling_at": self.penalty}
        if sample_weight is None:
            self.plan.add(catalog.begin_step_unit(precision), **places)
        else:
            batch_weights = np.zeros(self.batch_size, shared.params.dtype)  # (rows,)
            weights = {"weights_at": batch_weights, "moving": False}
            self.plan.add(
                catalog.begin_weighted_step_unit(precision), weights_at=sample_weight,
                batch_weights_at=batch_weights, **places,
            )  # fmt: skip
        shared.add_begin()
        if self.regularization.is_random:
            shared.masks.add_begin(self.plan, self.state.random_steps, self.regularization.seed)
        # A group of its own, so that a step without weight is skipped before it counts.
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.begin_update_unit(precision, self.optimizer.rule_name),
            rates_at=self.rates,
            batch_size=self.batch_size,
            step_rate_at=self.optimizer.step_rate,
            settings_at=self.optimizer.settings,
            scalars_at=self.optimizer.scalars,
            coefficients_at=self.coefficients,
        )
        if self.state.average is not None:
            self.plan.add(
                catalog.begin_average_unit(precision),
                numbers_at=self.state.average.numbers,
                weight_at=self.average_weight,
            )
        return weights

    def _add_parameters(self, shared):
        """The groups in which a task takes some of the parameters through their step."""
        # Sums over some rows of each layer's weights, and of all gradients.
        blocks = []
        for i, layer in enumerate(shared.layers):
            blocks += [_Weights(shared, i), _Biases(shared, i)]
            if layer.norm_offset is not None:
                blocks.append(_Norms(shared, i))
            if layer.running_offset is not None and self.state.average is not None:
                blocks.append(_Running(shared, i))
            if layer.slope_offset is not None:
                blocks.append(_Slope(shared, i))
        n_sums = 0
        for block in blocks:
            block.start = n_sums
            n_sums += -(-block.shape[0] // units.SEGMENT)
        self.square_sums, self.norm_sums = np.zeros((2, n_sums))  # (segments,)
        self.sizes = np.zeros(n_sums)  # (segments,), zeros where there is no L1 penalty
        self.plan.group()
        for block in blocks:
            self.plan.chain(tasks=block.tasks)
            block.add_gradient(self)
            if not self.is_clipped:
                block.add_update(self)
        if self.is_clipped:
            self._add_clip(shared)
            self.plan.group()
            for block in blocks:
                self.plan.chain(tasks=block.tasks)
                block.add_update(self)
        self._add_orthogonal_steps([block for block in blocks if block.orthogonalization])

    def _add_clip(self, shared):
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.clip_unit(shared.precision), square_sums_at=self.norm_sums,
            n_sums=len(self.norm_sums),
            max_norm_at=np.array([float(self.regularization.max_grad_norm)]),
            scaling_at=self.scaling,
        )  # fmt: skip

    def _add_orthogonal_steps(self, matrices):
        """The groups that finish the step of matrices with orthogonal ones."""
        if not matrices:
            return
        for stages in zip(*(m.orthogonalization.stages() for m in matrices), strict=True):
            self.plan.group()
            for add_stage in stages:
                add_stage()
        self.plan.group()
        for matrix in matrices:
            self.plan.chain(tasks=matrix.tasks)
            matrix.orthogonalization.add_update()
            matrix.add_rest(self)

    def _add_finish(self, shared):
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.finish_unit(), row_loss_at=shared.row_loss, square_sums_at=self.square_sums,
            sizes_at=self.sizes, n_sums=len(self.square_sums), scalars_at=self.scalars,
            outputs=shared.outputs_of_mean,
        )  # fmt: skip

    def train_epoch(self, order, rates=None, deadline=None):
        """Train on the rows in that order; see `fastnn.backends.Trainer`."""
        self.scalars[units.LOSS] = 0.0
        order = np.ascontiguousarray(order, dtype=np.int64)
        n_rows = len(order)
        n_batches = -(-n_rows // self.batch_size)
        self.rates[:n_batches] = self.optimizer.rate if rates is None else rates
        if self.preparation is not None:
            # Once: from then on each step packs the weights that it has updated.
            self.preparation.run(1, 1, (0, 1), self.pace.team)
            self.preparation = None
        done = self.pace.run(n_rows, self.batch_size, order, deadline)
        self.rows_done = min(done * self.batch_size, n_rows)
        return float(self.scalars[units.LOSS]) / self.rows_done


class _Parameters:
    """Some parameters that lie together, and the tasks that they are done in.

    Attributes
    ----------
    tasks : int
    place : dict
        Where they are in the flat vector, and how many of them each task takes.
    shape : tuple
        Rows and columns of them, and how many rows each task takes.
    decay : bool
        Whether penalties and decay are for them.
    start : int
        Where the sums over their segments begin.
    """

    tasks, decay, orthogonalization = 1, False, None

    def __init__(self, shared, i, offset, size):
        self.shared, self.i = shared, i
        self.place = {"offset": offset, "size": size, "block": size}
        self.shape = (size, 1, size)

    def add_gradient(self, trainer):
        self._add_own_gradient(trainer.gradient)
        if trainer.is_penalized:
            trainer.plan.add(
                catalog.penalize_unit(self.shared.precision), params_at=self.shared.params,
                gradient_at=trainer.gradient, scaling_at=trainer.penalty, **self.place,
                decay=self.decay,
            )  # fmt: skip
        if trainer.is_clipped:
            values = trainer.gradient[self.place["offset"] :]
            self._add_sums(values, trainer.norm_sums, "squares")

    def _add_own_gradient(self, gradient):
        """Nothing to do where the group "rows" has done it."""

    def add_update(self, trainer):
        slots = trainer.optimizer.slots
        trainer.plan.add(
            catalog.update_unit(self.shared.precision, trainer.optimizer.rule_name),
            params_at=self.shared.params,
            gradient_at=trainer.gradient,
            slots_at=slots,
            n_params=slots.shape[1],
            coefficients_at=trainer.coefficients,
            scaling_at=trainer.scaling,
            **self.place,
            decay=self.decay,
        )
        self.add_rest(trainer)

    def add_rest(self, trainer):
        """Add the units that follow once the parameters have changed."""
        if trainer.state.average is not None:
            trainer.plan.add(
                catalog.average_unit(self.shared.precision),
                params_at=self.shared.params,
                average_at=trainer.state.average.values,
                weight_at=trainer.average_weight,
                **self.place,
            )

    def _add_sums(self, values, sums, of):
        rows, columns, block = self.shape
        self.shared.plan.add(
            catalog.segment_sums_unit(self.shared.precision, of), values_at=values, n_rows=rows,
            n_columns=columns, sums_at=sums[self.start :], block=block,
        )  # fmt: skip


class _Weights(_Parameters):
    """The weights of layer i, in blocks of rows."""

    decay = True

    def __init__(self, shared, i):
        layer = shared.layers[i]
        super().__init__(shared, i, layer.weight_offset, layer.n_in * layer.n_out)
        block = shared.parameter_block(layer)
        self.tasks = shared.parameter_tasks(layer)
        self.place["block"] = block * layer.n_out
        self.shape = (layer.n_in, layer.n_out, block)

    def _add_own_gradient(self, gradient):
        if self.shared.in_parts:
            self.shared.add_sum_parts(gradient, **self.place)
        else:
            self.shared.add_weight_gradient(self.i, gradient, units.ZERO)

    def add_update(self, trainer):
        weights = self.shared.params[self.place["offset"] :]
        self._add_sums(weights, trainer.square_sums, "squares")
        if trainer.scalars[units.ALPHA_1] > 0:
            self._add_sums(weights, trainer.sizes, "sizes")
        if trainer.optimizer.rule.orthogonal and self.i < len(self.shared.layers) - 1:
            self.orthogonalization = Orthogonalization(
                self.shared, self.i, trainer.optimizer, trainer.coefficients, trainer.scaling
            )
            self.orthogonalization.add_average(trainer.gradient)
        else:
            super().add_update(trainer)

    def add_rest(self, trainer):
        super().add_rest(trainer)
        self.shared.add_pack(self.i, trainer.plan)


class _Biases(_Parameters):
    """The biases of layer i."""

    def __init__(self, shared, i):
        super().__init__(shared, i, shared.layers[i].bias_offset, shared.layers[i].n_out)

    def _add_own_gradient(self, gradient):
        if self.shared.in_parts:
            self.shared.add_sum_parts(gradient, **self.place)
        else:
            self.shared.add_bias_gradient(self.i, gradient, units.ZERO)


class _Norms(_Parameters):
    """Scale and shift of the batch normalisation of hidden layer i."""

    def __init__(self, shared, i):
        super().__init__(shared, i, shared.layers[i].norm_offset, 2 * shared.layers[i].n_out)


class _Running(_Parameters):
    """Running mean and variance of hidden layer i, of which there may be an average."""

    def __init__(self, shared, i):
        super().__init__(shared, i, shared.layers[i].running_offset, 2 * shared.layers[i].n_out)

    def add_gradient(self, trainer):
        """They have none."""

    def add_update(self, trainer):
        self.add_rest(trainer)


class _Slope(_Parameters):
    """The parameter of the activation of hidden layer i."""

    def __init__(self, shared, i):
        super().__init__(shared, i, shared.layers[i].slope_offset, 1)

    def _add_own_gradient(self, gradient):
        self.shared.add_slope_gradient(self.i, gradient, units.ZERO)
