"""The adversarial step, and nothing else.

Everything that changes derives from `cur_nimg`, the real images shown so far: what is random, which images come
next, the average's half-life, the resolution, whether this iteration is penalised. So N steps, save, load, M steps
give the same bits as N + M steps (same machine and number of threads). The batch may be cut among processes and into
micro-batches (`shares`): then the sums of the shares are the batch's, to rounding.
"""

from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from fastgan.data import Feed
from fastgan.losses.wasserstein import clip_weights
from fastgan.training import adam, checkpoint, conditions, ema, growing, schedule, thawing, weights
from fastgan.training.augmentation import Augmentation
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.graphs import StepGraphs, Steps
from fastgan.training.guard import Guard
from fastgan.training.objective import Losses, Objective, Penalty, Term
from fastgan.training.settings import RunConfig
from fastgan.training.shares import Shares
from fastgan.training.tally import Tally

_NETWORKS = ("g", "d", "g_ema")
_Terms = Callable[..., Term]
"""(share of the batch...) -> its term."""


class Trainer:
    """Trains `generator` against `discriminator`; one `step` is `d_steps` discriminator steps and a generator step.

    Where the loss compares fakes with real images for the generator too, these are the last discriminator step's.

    Receives built objects: networks on `device` in their memory format, `feed.batch(cur_nimg, n)` -> images
    [n, C, R, R] in [-1, 1] and labels, `loss` (a module of fastgan.losses) and `penalty` (or None). `precision`
    is fp32, or bf16: autocast over fp32 parameters.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        average: nn.Module,
        feed: Feed,
        loss: ModuleType,
        penalty: Penalty | None,
        augmentation: Augmentation,
        config: RunConfig,
        device: torch.device,
        precision: str,
        processes: Processes = ALONE,
        frozen: Sequence[thawing.Frozen] = (),
    ) -> None:
        self.objective = Objective(
            generator=generator,
            discriminator=discriminator,
            loss=loss,
            penalty=penalty,
            augmentation=augmentation,
            config=config,
            device=device,
            precision=precision,
            binary=conditions.binary(config, feed.dataset),
        )
        self.encode = conditions.Encoder(config)
        self.generator, self.discriminator, self.average = generator, discriminator, average
        self.feed, self.config, self.device, self.precision = feed, config, device, precision
        self.z_dim = self.objective.z_dim
        self.processes = processes
        moving = [m for m in (generator, discriminator, self.objective.path_length) if m is not None]
        self.shares = Shares(processes, config.train.accumulate, config.train.batch, moving, device)
        self.cur_nimg = 0
        self.rollbacks = 0
        """How often training has gone back to an earlier checkpoint: other random numbers, and smaller steps."""
        self.phases = growing.phases(config.train, config.model["resolution"])
        self._stepped: growing.Phase | None = None  # the phase of the step before
        self._alpha = torch.ones((), device=device)  # a graph reads it anew at every replay
        self.averages = ema.averages(average, config.train.half_lives)
        """Averages of the generator by what checkpoints call them; `average` is the first."""
        self.graphs: StepGraphs | None = None
        """Runs the steps of `step` as graphs, where there is one."""
        self.g_named = {f"g.{name}": p for name, p in generator.named_parameters() if p.requires_grad}
        self.d_named = {f"d.{name}": p for name, p in discriminator.named_parameters() if p.requires_grad}
        self.frozen = [part for part in frozen if part.until < float("inf")]
        """What is to thaw."""
        self._held: set[nn.Parameter] = set()  # of these, what still stays as it is
        self._hold()
        g_interval = config.loss.path_length_interval if self.objective.path_length is not None else 1
        d_interval = config.loss.penalty_interval if penalty is not None else 1
        train = config.train
        self.g_optimizer = adam.make(self.g_named.values(), train.lr_g, g_interval, train, device)
        self.d_optimizer = adam.make(self.d_named.values(), train.lr_d, d_interval, train, device)
        written = [generator, discriminator, augmentation, *filter(None, [self.objective.path_length])]
        self.g_guard, self.d_guard = Guard(self.g_optimizer, written), Guard(self.d_optimizer, written)
        self._tally = Tally()

    @property
    def phase(self) -> growing.Phase:
        """The phase of growing that the next iteration belongs to; where nothing grows there is but one."""
        return growing.at(self.phases, self.cur_nimg)

    @property
    def iteration_nimg(self) -> int:
        """Real images that the next iteration shows."""
        return self.phase.iteration_nimg

    def _grow(self, phase: growing.Phase) -> float:
        """Make networks, optimisers and graphs ready for a step of `phase`; its alpha."""
        if phase.grows and self.cur_nimg < phase.start + phase.iteration_nimg:  # the first of its iterations
            self.g_optimizer.state.clear()
            self.d_optimizer.state.clear()
        if self.graphs is not None and self._stepped not in (phase, None):
            self.graphs.forget()
        self._stepped = phase
        alpha = phase.alpha(self.cur_nimg)
        self._alpha.fill_(alpha)
        self.objective.size = phase.arguments(self._alpha)
        return alpha

    def _hold(self) -> None:
        """Train all but what is still frozen. Of the discriminator, `d_trained` is what a step changes."""
        held = thawing.held(self.frozen, self.cur_nimg)
        for parameter in held ^ self._held:
            parameter.requires_grad_(parameter not in held)
        if self.graphs is not None and held != self._held:
            self.graphs.forget()
        self._held = held
        self.d_trained = [p for p in self.d_named.values() if p not in held]

    @property
    def growing(self) -> tuple[int, float] | None:
        """The resolution being trained, and how far it has faded in; None where nothing grows."""
        facts = self.phase.facts(self.cur_nimg)
        return (int(facts["resolution"]), facts["alpha"]) if facts else None

    def scheduled(self) -> dict[str, float]:
        """What changes by plan, as it is for the next iteration, for the log. Waits for nothing."""
        facts = self.phase.facts(self.cur_nimg) | schedule.facts(self.config, self.cur_nimg)
        if self.frozen:
            facts["frozen"] = sum(self.cur_nimg < part.until for part in self.frozen)
        return facts

    def step(self) -> None:
        """One iteration: d_steps discriminator steps, one generator step, the average."""
        train, loss, objective, phase = self.config.train, self.config.loss, self.objective, self.phase
        iteration, batch = phase.iteration(self.cur_nimg), phase.batch
        self.processes.lead("step")
        alpha = self._grow(phase)
        if self.frozen:
            self._hold()
        for optimizer in (self.g_optimizer, self.d_optimizer):
            adam.follow(optimizer, train, self.cur_nimg, 0.5**self.rollbacks)
        if objective.strength is not None:
            objective.strength.fill_(schedule.penalty_weight(self.config, self.cur_nimg))
        torch.manual_seed(schedule.iteration_seed(train.seed, self.cur_nimg, self.rollbacks))
        penalise = objective.penalty is not None and iteration % loss.penalty_interval == 0
        smooth = objective.path_length is not None and iteration % loss.path_length_interval == 0
        steps: Steps = self.graphs or self
        with self.shares.merged(list(objective.augmentation.sums())):
            for i in range(train.d_steps):
                start, n = self.shares.slice(self.cur_nimg + i * batch, batch)
                shown = self.feed.batch(start, n, stride=batch)
                c = self.encode(shown)  # [n, condition_dim]
                real = growing.shrink(shown.images, phase.resolution, alpha)  # [n, C, R, R]
                self._tally.add(steps.step_d(real, penalise, c))
            against = real if objective.loss.GENERATOR_NEEDS_REAL else None
            if against is None and c is not None:  # else pairs differ in nothing that c knows
                c = self.encode(self.feed.conditions(start, n))
            self._tally.add(steps.step_g(n, against, smooth, c))
        for average, kimg in zip(self.averages.values(), train.half_lives, strict=True):
            beta = schedule.ema_beta(self.cur_nimg, phase.iteration_nimg, kimg, train.ema_rampup)
            ema.update(average, self.generator, beta)
        objective.augmentation.update(iteration)
        self.cur_nimg += phase.iteration_nimg

    def step_d(self, real: Tensor, penalise: bool, c: Tensor | None = None) -> Losses:
        """One discriminator step on `real` [N, C, R, R] and as many fakes; a lazy penalty is a step of its own.

        c: [N, condition_dim], what `real` shows and the fakes are made for; None without conditions.
        """
        interval = self.config.loss.penalty_interval
        lazily = penalise and interval > 1
        self.d_guard.hold()
        fakes = self.shares.each(self.objective.fakes, real, c)
        fake = torch.cat(fakes) if len(fakes) > 1 else fakes[0]
        losses = self._update_d(
            lambda *share: self.objective.discriminate(*share, penalise=penalise and not lazily),
            (real, fake, c),
        )
        if lazily:
            losses |= self._update_d(self.objective.penalise, (real, fake, c), interval)
        return losses

    def _update_d(self, term: _Terms, batch: tuple[Tensor | None, ...], interval: int = 1) -> Losses:
        losses = self._minimise(self.d_optimizer, self.d_guard, term, batch, interval)
        if self.config.loss.clip is not None:
            clip_weights(self.d_trained, self.config.loss.clip)
        return losses

    def _minimise(
        self,
        optimizer: torch.optim.Optimizer,
        guard: Guard,
        term: _Terms,
        batch: tuple[Tensor | None, ...],
        interval: int = 1,
    ) -> Losses:
        """Minimise a term that comes every `interval` iterations: its mean over them is then the paper's."""
        totals: list[Tensor] = []

        def backward(*share: Tensor | None) -> Losses:
            total, losses = term(*share)
            totals.append(total.detach().float())
            (total * (interval / self.shares.count)).backward()
            return _detached(losses)

        optimizer.zero_grad()
        losses = _mean(self.shares.each(backward, *batch))
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        whole = torch.stack(totals).sum()
        self.processes.sum_([whole, *(p.grad for p in parameters if p.grad is not None)])
        guard.judge(whole)
        optimizer.step()
        guard.settle()
        return losses

    def step_g(
        self, n: int, real: Tensor | None = None, smooth: bool = False, c: Tensor | None = None
    ) -> Losses:
        """One generator step on `n` fresh fakes; a relativistic loss sets them against as many `real` images.

        smooth: with path length regularisation, a step of its own where it is lazy. c: [n, condition_dim], what the
        fakes should show (and `real` does); None without conditions.
        """
        interval = self.config.loss.path_length_interval
        lazily = smooth and interval > 1
        for parameter in self.d_trained:
            parameter.requires_grad_(False)  # their gradients would be computed and thrown away
        self.g_guard.hold()
        n //= self.shares.accumulate
        losses = self._update_g(
            lambda *share: self.objective.generate(n, *share, smooth=smooth and not lazily), (real, c)
        )
        for parameter in self.d_trained:
            parameter.requires_grad_(True)
        if lazily:
            losses |= self._update_g(lambda c: self.objective.smooth(n, c), (c,), interval)
        return losses

    def _update_g(self, term: _Terms, batch: tuple[Tensor | None, ...], interval: int = 1) -> Losses:
        return self._minimise(self.g_optimizer, self.g_guard, term, batch, interval)

    @torch.no_grad()
    def sample(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Images [n, C, R, R] of the averaged generator for `z` [n, Z], in the precision of training.

        c: [n, condition_dim]; None takes conditions drawn from the data, the same for every call. While it grows, at
        the resolution that it has reached, each pixel shown larger.
        """
        if c is None and self.encode.condition_dim:
            c = self.encode(self.feed.conditions(0, len(z)))
        given = () if c is None else (c.to(self.device),)
        phase = self.phase
        size = phase.arguments(phase.alpha(self.cur_nimg))
        with self.objective.autocast():
            images = self.average(z.to(self.device), *given, **size).float()
        return growing.enlarge(images, self.phases[-1].resolution)

    def take_losses(self) -> dict[str, float]:
        """Means of what was finite since the last call, and how many steps were `skipped`, where any was.

        The only place that waits for the device.
        """
        self.processes.lead("take_losses")
        self.processes.sum_(self._tally.sums())
        losses = self._tally.take()
        skipped = self.g_guard.take() + self.d_guard.take()
        return losses | ({"skipped": skipped} if skipped else {})

    def stuck(self) -> bool:
        """Whether one of the networks has had no step for many iterations (waits for the device)."""
        return self.g_guard.stuck() or self.d_guard.stuck()

    def finite(self) -> bool:
        """Whether every trained parameter is finite (waits for the device)."""
        norms = torch._foreach_norm([*self.g_named.values(), *self.d_named.values()])
        return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tensors of a checkpoint: (model, optimizer), by name. With `cur_nimg` they are the whole state."""
        model = {
            f"{prefix}.{name}": tensor
            for prefix, module in self._modules().items()
            for name, tensor in module.state_dict().items()
        }
        g = checkpoint.optimizer_tensors(self.g_optimizer, self.g_named)
        return model, g | checkpoint.optimizer_tensors(self.d_optimizer, self.d_named)

    def load_state_dict(self, loaded: checkpoint.Checkpoint) -> None:
        """Take up training where `loaded` was saved; CheckpointError when it is of another architecture."""
        where = str(loaded.path)
        self.g_guard.reset()
        self.d_guard.reset()
        for prefix, module in self._modules().items():
            start = f"{prefix}."
            own = {k.removeprefix(start): v for k, v in loaded.model.items() if k.startswith(start)}
            if not own and prefix.startswith("g_ema_"):  # a half-life that was not asked for then
                own = {k.removeprefix("g."): v for k, v in loaded.model.items() if k.startswith("g.")}
            # A technique that the settings have added since then starts afresh, and one that they dropped is gone.
            if prefix in _NETWORKS or (own and module.state_dict()):
                weights.restore(module, own, where)
        for optimizer, named, start in (
            (self.g_optimizer, self.g_named, "g."),
            (self.d_optimizer, self.d_named, "d."),
        ):
            own = {k: v for k, v in loaded.optimizer.items() if k.startswith(start)}
            checkpoint.restore_optimizer(optimizer, named, own, where)
        self.cur_nimg = loaded.state["cur_nimg"]
        self.go_back(len(loaded.state.get("rollbacks", ())))
        self._tally.clear()

    def go_back(self, rollbacks: int) -> None:
        """From here on as after so many rollbacks: other random numbers, and the learning rates halved each time."""
        self.rollbacks = rollbacks
        if self.graphs is not None:
            self.graphs.forget()
        self._stepped = None

    def spread(self) -> None:
        """Give every process the state of the first, bit for bit: at the start, and where that was loaded anew."""
        self.processes.lead("spread")
        model, optimizer = self.state_dict()
        where = torch.tensor([self.cur_nimg, self.rollbacks])
        self.processes.spread_([where, *model.values(), *optimizer.values()])
        self.cur_nimg, rollbacks = where.tolist()
        if rollbacks != self.rollbacks:
            self.go_back(rollbacks)

    def _modules(self) -> dict[str, nn.Module]:
        modules = {"g": self.generator, "d": self.discriminator, **self.averages}
        modules["augment"] = self.objective.augmentation
        modules |= {"guard_g": self.g_guard, "guard_d": self.d_guard}
        lengths = self.objective.path_length
        return modules if lengths is None else modules | {"path_length": lengths}


def _mean(shares: list[Losses]) -> Losses:
    if len(shares) == 1:
        return shares[0]
    return {name: torch.stack([losses[name] for losses in shares]).mean(0) for name in shares[0]}


def _detached(losses: Losses) -> Losses:
    return {name: value.detach().float() for name, value in losses.items()}
