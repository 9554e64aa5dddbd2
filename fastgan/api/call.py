"""What holds for each long call: its flags are True or False, and torch's random numbers are left as they were."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from fastgan import arguments

P = ParamSpec("P")
R = TypeVar("R")


def long_call(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which refuses flags that are neither True nor False, and leaves the caller's random numbers alone."""
    parameters = inspect.signature(function).parameters.values()
    flags = {parameter.name for parameter in parameters if parameter.annotation is bool}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in flags & kwargs.keys():
            arguments.flag(kwargs[name], name)
        with _random_numbers_kept():
            return function(*args, **kwargs)

    return call


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Training seeds torch's global generators, and a network that is made draws from them."""
    import torch  # after keep_memory, where the caller has not imported it: it takes no tensor's memory before

    cuda = torch.cuda.is_initialized()
    before, on_gpus = torch.get_rng_state(), torch.cuda.get_rng_state_all() if cuda else []
    try:
        yield
    finally:
        torch.set_rng_state(before)
        if cuda:
            torch.cuda.set_rng_state_all(on_gpus)
