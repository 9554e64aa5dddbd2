"""Fold what training keeps apart (run-time weight scales, batch norm) into the weights, for export and speed."""

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def bake(module: Module) -> Module:
    """A deep copy of `module` for inference that gives the same output with less work.

    Every submodule with a method `bake_` folds what it can into its weights; the copy is in eval mode and needs
    no gradient. `module` itself stays as it is. The copy's state dict fits only another baked module.
    """
    baked = copy.deepcopy(module).eval().requires_grad_(False)
    for part in list(baked.modules()):
        fold = getattr(part, "bake_", None)
        if fold is not None:
            fold()
    return baked
