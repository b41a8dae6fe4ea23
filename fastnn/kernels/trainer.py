"""Training: the plan of a step, and its run over epochs."""

import numpy as np

from fastnn.kernels import catalog, units
from fastnn.kernels.inputs import read
from fastnn.kernels.muon import Orthogonalization
from fastnn.kernels.passes import Pass, cast


class Trainer:
    """Trains a network on mini-batches, in place; see `fastnn.backends.Trainer`.

    A step is these groups: begin, begin_update, rows (see `Pass`), parameters, finish. It has two
    phases, the gradient and the update. A machine may join them in the group "parameters", where a
    task takes some parameters through both. Otherwise, and where all of the gradient has to be
    there first because it is clipped, they are groups of their own.
    """

    def __init__(self, network, machine, data, state, *, regularization, batch_size):
        self.machine, self.batch_size = machine, batch_size
        self.state, self.optimizer = state, state.optimizer
        self.regularization = regularization
        self.params, self.slots = machine.mirror(state.params), machine.mirror(self.optimizer.slots)
        data = cast(data, state.params.dtype)
        self._keep = data
        source = read(machine, network, data.X, batch_size, self.params.dtype, ordered=True)
        pass_ = Pass(
            network,
            machine,
            self.params,
            source,
            backward=True,
            regularization=regularization,
        )
        self.rates = np.zeros(-(-data.X.shape[0] // batch_size))  # (mini-batches,)
        self.gradient = machine.zeros(self.params.shape, self.params.dtype)  # (n_params,)
        self.plan, self.precision = pass_.plan, pass_.precision
        self._set_scalars(self.params.dtype)
        weights = self._add_begin(pass_, data.sample_weight)
        pass_.add_rows_group(data.y, weights, self.gradient)
        if pass_.in_parts:
            if not machine.joins_phases:
                self.plan.group()
            pass_.add_part_gradients()
        self._add_parameters(pass_)
        self._add_finish(pass_)
        self.plan.compile()
        self.preparation = pass_.preparation()
        self.pace = pass_.pace()

    def slot(self, name):
        """The memory (n_params,) of one of the optimizer's slots."""
        return self.slots[self.optimizer.rule.slots._fields.index(name)]

    def _set_scalars(self, dtype):
        regularization = self.regularization
        l1 = regularization.alpha * regularization.l1_ratio
        self.scalars = np.zeros(units.N_SCALARS)  # (5,)
        self.scalars[units.ALPHA_1] = l1
        # Decay that is decoupled is no part of the loss.
        if not self.optimizer.rule.decoupled:
            self.scalars[units.ALPHA] = regularization.alpha - l1
        rule = self.optimizer.rule
        self.coefficients = self.machine.zeros(len(rule.coefficients._fields), dtype)
        self.average_weight = self.machine.zeros(1, dtype)  # (1,)
        # The gradient of the sum over a mini-batch becomes that of the mean loss by `Scaling`, in
        # the optimizer's own loop; but before it where more is to be done to the gradient.
        self.is_clipped = regularization.max_grad_norm is not None
        self.is_penalized = self.is_clipped or l1 > 0 or rule.orthogonal
        self.scaling = self.penalty = self.machine.mirror(np.array([1.0, 0.0, 0.0], dtype))  # (3,)
        if self.is_penalized:
            self.penalty = self.machine.zeros(3, dtype)  # (3,)

    def _add_begin(self, pass_, sample_weight):
        """The groups before "rows"; returns what its `weigh` takes of the weights."""
        precision = pass_.precision
        self.plan.group()
        self.plan.chain(tasks=1)
        weights, places = {}, {"scalars_at": self.scalars, "scaling_at": self.penalty}
        if sample_weight is None:
            self.plan.add(catalog.begin_step_unit(precision), **places)
        else:
            batch_weights = self.machine.zeros(self.batch_size, self.params.dtype)  # (rows,)
            weights = {"weights_at": batch_weights, "moving": False}
            self.plan.add(
                catalog.begin_weighted_step_unit(precision),
                weights_at=sample_weight,
                own_weights_at=self.machine.zeros(self.batch_size, np.float64),
                batch_weights_at=batch_weights,
                **places,
            )
        pass_.add_begin()
        if self.regularization.is_random:
            pass_.masks.add_begin(self.plan, self.state.random_steps, self.regularization.seed)
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

    def _add_parameters(self, pass_):
        """The groups in which a task takes some of the parameters through their step."""
        steps, n_sums = [], 0
        for operations in pass_.operations:
            # Muon is for the matrices that lead to hidden layers.
            is_last = operations is pass_.operations[-1]
            is_orthogonal = self.optimizer.rule.orthogonal and not is_last
            for parameters in operations.parameters():
                # Those that are not learned matter to an average of the parameters alone.
                if parameters.learned or self.state.average is not None:
                    steps.append(_Step(self, parameters, n_sums, is_orthogonal))
                    n_sums += -(-parameters.shape[0] // units.SEGMENT)
        # Sums over some rows of each layer's weights, and of all gradients.
        self.square_sums, self.norm_sums, self.sizes = (
            self.machine.zeros(n_sums, np.float64) for _ in range(3)
        )  # (segments,), zeros of the sizes where there is no L1 penalty
        if self.machine.joins_phases and not self.is_clipped:
            self.plan.group()
            for step in steps:
                self.plan.chain(tasks=step.parameters.tasks)
                step.add_gradient()
                step.add_penalty()
                step.add_sums()
                step.add_update()
        else:
            self._add_gradient_phase(steps)
            if self.is_clipped:
                self._add_clip(pass_)
            self._add_update_phase(steps)
        self._add_orthogonal_steps([step for step in steps if step.orthogonalization])

    def _add_gradient_phase(self, steps):
        """The groups at the end of which all of the gradient is there, with its penalties."""
        joins = self.machine.joins_phases
        self.plan.group()
        for step in steps:
            parameters = step.parameters
            self.plan.chain(tasks=parameters.tasks if joins else parameters.gradient_tasks)
            step.add_gradient()
            if joins:
                step.add_penalty()
            else:
                self.plan.chain(tasks=parameters.tasks)
                step.add_sums()
        if self.is_penalized and not joins:
            self.plan.group()
            for step in steps:
                self.plan.chain(tasks=step.parameters.tasks)
                step.add_penalty()

    def _add_update_phase(self, steps):
        """The group that updates the parameters."""
        self.plan.group()
        for step in steps:
            self.plan.chain(tasks=step.parameters.tasks)
            if self.machine.joins_phases:
                step.add_sums()
            step.add_update()

    def _add_clip(self, pass_):
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.clip_unit(pass_.precision),
            square_sums_at=self.norm_sums,
            n_sums=len(self.norm_sums),
            max_norm_at=np.array([float(self.regularization.max_grad_norm)]),
            scaling_at=self.scaling,
        )

    def _add_orthogonal_steps(self, steps):
        """The groups that finish the step of matrices with orthogonal ones."""
        if not steps:
            return
        for stages in zip(*(step.orthogonalization.stages() for step in steps), strict=True):
            self.plan.group()
            for add_stage in stages:
                add_stage()
        self.plan.group()
        for step in steps:
            self.plan.chain(tasks=step.parameters.tasks)
            step.orthogonalization.add_update()
            step.add_rest()

    def _add_finish(self, pass_):
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.finish_unit(),
            row_loss_at=pass_.row_loss,
            square_sums_at=self.square_sums,
            sizes_at=self.sizes,
            n_sums=len(self.square_sums),
            scalars_at=self.scalars,
            outputs=pass_.outputs_of_mean,
        )

    def train_epoch(self, order, rates=None, deadline=None):
        """Train on the rows in that order; see `fastnn.backends.Trainer`."""
        machine = self.machine
        self.scalars[units.LOSS] = 0.0
        order = np.ascontiguousarray(order, dtype=np.int64)
        n_rows = len(order)
        n_batches = -(-n_rows // self.batch_size)
        self.rates[:n_batches] = self.optimizer.rate if rates is None else rates
        machine.push(self.scalars, self.rates, *self._small)
        if self.preparation is not None:
            # Once: from then on each step packs the weights that it has updated.
            self.pace.run_once(self.preparation)
            self.preparation = None
        try:
            done = self.pace.run(n_rows, self.batch_size, order, deadline)
        finally:
            machine.pull(self.scalars, *self._small, *self._results)
        self.rows_done = min(done * self.batch_size, n_rows)
        return float(self.scalars[units.LOSS]) / self.rows_done

    @property
    def _small(self):
        """What the host may change between epochs, too: numbers of the optimizer, and counters."""
        state, optimizer = self.state, self.optimizer
        numbers = [optimizer.settings, optimizer.scalars, optimizer.step_rate, state.random_steps]
        return numbers if state.average is None else [*numbers, state.average.numbers]

    @property
    def _results(self):
        """What the host reads after each epoch."""
        state = self.state
        return (state.params,) if state.average is None else (state.params, state.average.values)

    def fetch(self):
        """Bring all of the state up to date; see `fastnn.backends.Trainer`."""
        self.machine.pull(self.optimizer.slots)


class _Step:
    """The step of some parameters: their gradient, and their update.

    Parameters
    ----------
    trainer : Trainer
    parameters : fastnn.kernels.layers.base.Parameters
    start : int
        Where the sums over their segments begin.
    is_orthogonal : bool
        Whether matrices of their layer have steps of orthogonal matrices.
    """

    def __init__(self, trainer, parameters, start, is_orthogonal):
        self.trainer, self.parameters, self.start = trainer, parameters, start
        self.plan, self.params = trainer.plan, trainer.params
        self.precision = trainer.precision
        # A matrix with steps of orthogonal matrices finishes its step in groups of its own.
        self.orthogonalization = None
        if is_orthogonal and parameters.is_matrix:
            self.orthogonalization = Orthogonalization(trainer, parameters)

    def add_gradient(self):
        """In a chain over the parameters: their gradient."""
        if self.parameters.learned:
            self.parameters.add_gradient(self.trainer.gradient, units.ZERO)

    def add_penalty(self):
        """In a chain over the parameters: what is done to the gradient before the update."""
        trainer, parameters = self.trainer, self.parameters
        if not parameters.learned:
            return
        if trainer.is_penalized:
            self.plan.add(
                catalog.penalize_unit(self.precision),
                params_at=self.params,
                gradient_at=trainer.gradient,
                scaling_at=trainer.penalty,
                **parameters.place,
                decay=parameters.decay,
            )
        if trainer.is_clipped:
            self._add_sums(trainer.gradient, trainer.norm_sums, "squares")

    def add_sums(self):
        """In a chain over the parameters, before their update: what the loss takes of them."""
        trainer = self.trainer
        if self.parameters.decay:
            self._add_sums(self.params, trainer.square_sums, "squares")
            if trainer.scalars[units.ALPHA_1] > 0:
                self._add_sums(self.params, trainer.sizes, "sizes")

    def add_update(self):
        """In a chain over the parameters: their update."""
        trainer, parameters = self.trainer, self.parameters
        if self.orthogonalization is not None:
            self.orthogonalization.add_average(trainer.gradient)
            return
        if parameters.learned:
            slots = trainer.slots
            self.plan.add(
                catalog.update_unit(self.precision, trainer.optimizer.rule_name),
                params_at=self.params,
                gradient_at=trainer.gradient,
                slots_at=slots,
                n_params=slots.shape[1],
                coefficients_at=trainer.coefficients,
                scaling_at=trainer.scaling,
                **parameters.place,
                decay=parameters.decay,
            )
        self.add_rest()

    def add_rest(self):
        """In a chain over the parameters: what follows once they have changed."""
        if self.trainer.state.average is not None:
            self.plan.add(
                catalog.average_unit(self.precision),
                params_at=self.params,
                average_at=self.trainer.state.average.values,
                weight_at=self.trainer.average_weight,
                **self.parameters.place,
            )
        self.parameters.add_rest(self.plan)

    def _add_sums(self, vector, sums, of):
        """Sums over the segments of the parameters' part of a vector of all."""
        rows, columns, block = self.parameters.shape
        self.plan.add(
            catalog.segment_sums_unit(self.precision, of),
            values_at=vector[self.parameters.place["offset"] :],
            n_rows=rows,
            n_columns=columns,
            sums_at=sums[self.start :],
            block=block,
        )
