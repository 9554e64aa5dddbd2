"""Optuna's TPE sampler in processes that take one trial each: what a trial draws follows from the seed and its number.

Processes of one seed would all draw the same, and processes of none nothing that can be repeated.
"""

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

STARTUP = 6
"""Trials that are drawn at random before what they scored is looked at"""


class ByNumber(BaseSampler):
    """A TPE sampler for each trial, seeded by its number (Bergstra et al. 2011; multivariate: Falkner et al. 2018)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of: TPESampler = self._made(0)

    def _made(self, number: int) -> TPESampler:
        return TPESampler(
            seed=(self._seed * 1_000_003 + number) % 2**32,
            n_startup_trials=STARTUP,
            multivariate=True,
            group=True,
            constant_liar=True,  # workers do not all try the same
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Called by Optuna once a trial is there."""
        self._of = self._made(trial.number)
        self._of.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is drawn together."""
        return self._of.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw it."""
        return self._of.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one value."""
        return self._of.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Called by Optuna at the end."""
        self._of.after_trial(study, trial, state, values)
