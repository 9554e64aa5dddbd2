"""The adversarial step, and nothing else.

Everything that changes derives from `cur_nimg`, the real images shown so far: what is random, which images come
next, the average's half-life, the resolution, whether this iteration is penalised. So N steps, save, load, M steps
give the same bits as N + M steps (same machine and number of threads). The batch may be cut among processes and into
micro-batches (`shares`): then the sums of the shares are the batch's, to rounding.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from fastgan.data import Feed
from fastgan.losses.wasserstein import clip_weights
from fastgan.training import adam, checkpoint, conditions, ema, growing, schedule, thawing
from fastgan.training.augmentation import Augmentation
from fastgan.training.codes import Codes
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.graphs import StepGraphs
from fastgan.training.guard import Guard
from fastgan.training.objective import Losses, Objective, Penalty, Term
from fastgan.training.settings import RunConfig
from fastgan.training.shares import Shares
from fastgan.training.tally import Tally
from fastgan.training.trained import Trained


class Trainer(Trained):
    """Trains `generator` against `discriminator`; one `step` is `d_steps` discriminator steps and a generator step.

    Where the loss compares fakes with real images for the generator too, these are the last discriminator step's.
    With `codes`, the generator also reconstructs real images, at first nothing else.

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
        codes: Codes | None = None,
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
        super().__init__(
            generator=generator,
            discriminator=discriminator,
            average=average,
            augmentation=augmentation,
            path_length=self.objective.path_length,
            codes=codes,
            penalised=penalty is not None,
            config=config,
            device=device,
            processes=processes,
        )
        self.encode = conditions.Encoder(config)
        self.feed, self.precision, self.codes = feed, precision, codes
        self.z_dim = self.objective.z_dim
        moving = [m for m in (generator, discriminator, self.objective.path_length) if m is not None]
        self.shares = Shares(processes, config.train.accumulate, config.train.batch, moving, device)
        self.phases = growing.phases(config.train, config.model.resolution)
        self._stepped: growing.Phase | None = None  # the phase of the step before
        self._alpha = torch.ones((), device=device)  # a graph reads it anew at every replay
        self.graphs: StepGraphs | None = None
        """Runs the steps of `step` as graphs, where there is one."""
        self.frozen = [part for part in frozen if part.until < float("inf")]
        """What is to thaw."""
        self._held: set[nn.Parameter] = set()  # of these, what still stays as it is
        self._hold()
        self._tally = Tally()
        self._fake: Tensor | None = None  # with gradients, from a discriminator step to the generator's

    @property
    def _reuses(self) -> bool:
        return self.config.train.reuse_fakes and self.shares.accumulate == 1 and self.graphs is None

    def step(self) -> None:
        """One iteration: d_steps discriminator steps, one generator step, the average.

        With `codes` the first iterations only reconstruct.
        """
        train, phase = self.config.train, self.phase
        self.processes.lead("step")
        alpha = self._prepare(phase)
        torch.manual_seed(schedule.iteration_seed(train.seed, self.cur_nimg, self.rollbacks))
        adversarial = self.codes is None or self.cur_nimg >= 1000 * self.config.train.reconstruction_kimg
        with self.shares.merged(list(self.objective.augmentation.sums())):
            for i in range(train.d_steps):
                start, n = self.shares.slice(self.cur_nimg + i * phase.batch, phase.batch)
                shown = self.feed.batch(start, n, stride=phase.batch)
                c = self.encode(shown)  # [n, condition_dim]
                real = growing.shrink(shown.images, phase.resolution, alpha)  # [n, C, R, R]
                if i == 0 and self.codes is not None:
                    self._reconstruct(phase, real, c, alone=not adversarial)
                if adversarial:
                    self._discriminate(phase, real, c)
            if adversarial:
                self._generate(phase, start, real, c)
        for average, kimg in zip(self.averages.values(), train.half_lives, strict=True):
            beta = schedule.ema_beta(self.cur_nimg, phase.iteration_nimg, kimg, train.ema_rampup)
            ema.update(average, self.generator, beta)
        if adversarial:
            self.objective.augmentation.update(phase.iteration(self.cur_nimg))
        self.cur_nimg += phase.iteration_nimg

    def _reconstruct(self, phase: growing.Phase, real: Tensor, c: Tensor | None, *, alone: bool) -> None:
        """A generator step towards `real` where it is due: alone, in every iteration."""
        interval = 1 if alone else self.config.loss.reconstruction_interval
        if phase.iteration(self.cur_nimg) % interval == 0:
            self._tally.add(self.step_reconstruction(real, c, interval=interval))

    def _discriminate(self, phase: growing.Phase, real: Tensor, c: Tensor | None) -> None:
        """A discriminator step, penalised where it is due."""
        interval = self.config.loss.penalty_interval
        penalise = self.objective.penalty is not None and phase.iteration(self.cur_nimg) % interval == 0
        self._tally.add((self.graphs or self).step_d(real, penalise, c))

    def _generate(self, phase: growing.Phase, start: int, real: Tensor, c: Tensor | None) -> None:
        """A generator step after the last discriminator step, on `real` from position `start` on."""
        interval, objective = self.config.loss.path_length_interval, self.objective
        smooth = objective.path_length is not None and phase.iteration(self.cur_nimg) % interval == 0
        against = real if objective.loss.GENERATOR_NEEDS_REAL else None
        if (
            against is None and c is not None and not self._reuses
        ):  # else pairs differ in nothing that c knows
            c = self.encode(self.feed.conditions(start, len(real)))
        self._tally.add((self.graphs or self).step_g(len(real), against, smooth, c))

    def step_reconstruction(self, real: Tensor, c: Tensor | None = None, *, interval: int = 1) -> Losses:
        """A generator step towards `real` [N, C, R, R], from the latents that `codes` makes of them.

        interval: it comes every so many iterations, and counts as often.
        """
        codes = self.codes
        assert codes is not None

        def term(real: Tensor, c: Tensor | None) -> Term:
            return self.objective.reconstruct(real, codes(real), c)

        self.g_guard.hold()
        return self._minimise(term, (real, c), self.g_guard, interval)

    def step_d(self, real: Tensor, penalise: bool, c: Tensor | None = None) -> Losses:
        """One discriminator step on `real` [N, C, R, R] and as many fakes; a lazy penalty is a step of its own.

        c: [N, condition_dim], what `real` shows and the fakes are made for; None without conditions. The loss is that
        of fastgan/losses/, the penalty one of losses/penalties.py, both through `Objective`.
        """
        interval, clip = self.config.loss.penalty_interval, self.config.loss.clip
        lazily = penalise and interval > 1
        self.d_guard.hold()
        with self.shares.cut(real, c) as shares:
            fakes = [self.objective.fakes(*share, gradients=self._reuses) for share in shares]
        if self._reuses:
            self._fake = fakes[0]
        fake = torch.cat(fakes).detach() if len(fakes) > 1 else fakes[0].detach()
        term = partial(self.objective.discriminate, penalise=penalise and not lazily)
        losses = self._minimise(term, (real, fake, c), self.d_guard, clip=clip)
        if lazily:
            penalty = self.objective.penalise
            losses |= self._minimise(penalty, (real, fake, c), self.d_guard, interval, clip=clip)
        return losses

    def step_g(
        self, n: int, real: Tensor | None = None, smooth: bool = False, c: Tensor | None = None
    ) -> Losses:
        """One generator step on `n` fresh fakes; a relativistic loss sets them against as many `real` images.

        smooth: with path length regularisation, a step of its own where it is lazy. c: [n, condition_dim], what the
        fakes should show (and `real` does); None without conditions.
        """
        interval, n = self.config.loss.path_length_interval, n // self.shares.accumulate
        lazily = smooth and interval > 1
        for parameter in self.d_trained:
            parameter.requires_grad_(False)  # their gradients would be computed and thrown away
        self.g_guard.hold()
        fake, self._fake = self._fake, None
        term = partial(self.objective.generate, n, smooth=smooth and not lazily, fake=fake)
        losses = self._minimise(term, (real, c), self.g_guard)
        for parameter in self.d_trained:
            parameter.requires_grad_(True)
        if lazily:
            losses |= self._minimise(partial(self.objective.smooth, n), (c,), self.g_guard, interval)
        return losses

    def _minimise(
        self,
        term: Callable[..., Term],
        batch: tuple[Tensor | None, ...],
        guard: Guard,
        interval: int = 1,
        clip: float | None = None,
    ) -> Losses:
        """One step of the guarded optimiser down the gradient of `term`, a function of a share of each of `batch`.

        interval: a term that comes every so many iterations counts as often, and its mean is then the paper's.
        """
        totals, shown = [], []
        guard.optimizer.zero_grad()
        with self.shares.cut(*batch) as shares:
            for share in shares:
                total, losses = term(*share)
                (total * (interval / self.shares.count)).backward()
                totals.append(total.detach().float())
                shown.append({name: value.detach().float() for name, value in losses.items()})
        whole = torch.stack(totals).sum()
        self.processes.sum_([whole, *guard.gradients()])
        guard.judge(whole)  # a step that is not finite changes nothing
        guard.optimizer.step()
        guard.settle()
        if clip is not None:
            clip_weights(self.d_trained, clip)
        return _mean(shown)

    @property
    def phase(self) -> growing.Phase:
        """The phase of growing that the next iteration belongs to; where nothing grows there is but one."""
        return growing.at(self.phases, self.cur_nimg)

    @property
    def iteration_nimg(self) -> int:
        """Real images that the next iteration shows."""
        return self.phase.iteration_nimg

    def _prepare(self, phase: growing.Phase) -> float:
        """Make networks, optimisers and graphs ready for an iteration of `phase`; its alpha."""
        alpha = self._grow(phase)
        if self.frozen:
            self._hold()
        for optimizer in (self.g_optimizer, self.d_optimizer):
            adam.follow(optimizer, self.config.train, self.cur_nimg, 0.5**self.rollbacks)
        if self.objective.strength is not None:
            self.objective.strength.fill_(schedule.penalty_weight(self.config, self.cur_nimg))
        return alpha

    def _grow(self, phase: growing.Phase) -> float:
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

    def load_state_dict(self, loaded: checkpoint.Checkpoint) -> None:
        """Take up training where `loaded` was saved; CheckpointError when it is of another architecture."""
        super().load_state_dict(loaded)
        self._tally.clear()

    def go_back(self, rollbacks: int) -> None:
        """From here on as after so many rollbacks: other random numbers, and the learning rates halved each time."""
        super().go_back(rollbacks)
        if self.graphs is not None:
            self.graphs.forget()
        self._stepped = None


def _mean(shares: list[Losses]) -> Losses:
    if len(shares) == 1:
        return shares[0]
    return {name: torch.stack([losses[name] for losses in shares]).mean(0) for name in shares[0]}
