"""Spectral normalisation (Miyato et al. 2018): every weight is divided by its largest singular value.

The singular value comes from torch's own parametrisation: one power iteration in each forward pass of train mode, on
vectors u and v that are buffers, so that checkpoints carry them. What this file adds is what it needs to be right for
every layer here: equalised layers, mixed precision, and all layers of a network at once.
"""

from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastgan.nn.equalized import EqualizedConv2d, EqualizedLinear
from fastgan.nn.precision import full_precision

Module = TypeVar("Module", bound=nn.Module)


class _FullPrecision(nn.Module):
    """A parametrisation outside autocast, which would take the singular value of rounded numbers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, weight: Tensor) -> Tensor:
        with full_precision(weight):
            return self.inner(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def spectral_norm(module: Module, iterations: int = 1) -> Module:
    """Normalise, in place, the weight of every layer of `module` whose weight has two dimensions or more.

    A convolution's [out, in, k, k] counts as the matrix [out, in * k * k] (the paper, section 2.1 and appendix). The
    layer's parameter `weight` becomes `parametrizations.weight.original`. Equalised layers lose their run-time scale:
    their weight, too, has norm 1. Starts at u and v of 15 iterations on random vectors from torch's generator.
    A weight that starts at zero (a residual block's last) is given a random direction, for it has none to keep: at norm
    1 it could not start as nothing. `module` must not be parametrised yet.
    """
    for layer in list(module.modules()):
        weight = layer._parameters.get("weight")
        if weight is None or weight.ndim < 2:
            continue
        if isinstance(layer, (EqualizedConv2d, EqualizedLinear)):
            layer.scale = 1.0  # it would multiply a weight whose size is already settled
        if not weight.is_meta and not weight.any():
            nn.init.normal_(weight)
        parametrizations.spectral_norm(layer, n_power_iterations=iterations)
        chain = layer.get_submodule("parametrizations.weight")
        assert isinstance(chain, nn.ModuleList)
        chain[0] = _FullPrecision(chain[0])
    return module
