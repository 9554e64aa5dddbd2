"""The DCGAN that a tutorial writes: the networks and numbers of PyTorch's "DCGAN Tutorial", in plain torch and fp32.

100 latent numbers, 64 channels at the finest level of both networks, transposed and strided 4x4 convolutions with
batch norm, weights of N(0, 0.02), Adam (0.5, 0.999) at 2e-4, batch 128, binary cross-entropy. The discriminator sees
real and generated images in two passes, the generator is trained on the same generated ones, and samples come from the
generator as it stands, in training mode, without an average. Images lie in memory, which spares it the tutorial's
loader. An interrupted run begins anew.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speedrun.recorder import Recorder

LATENTS, WIDTH, BATCH = 100, 64, 128
SETTINGS = {"batch": BATCH, "lr": 2e-4, "betas": [0.5, 0.999], "width": WIDTH, "precision": "fp32"}


def generator() -> nn.Sequential:
    """z [N, 100, 1, 1] -> images [N, 3, 64, 64] in -1 ... 1."""
    layers: list[nn.Module] = []
    widths = [LATENTS, 8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH]
    for level, (into, out) in enumerate(pairwise(widths)):
        step = (1, 0) if level == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(into, out, 4, *step, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    """Images [N, 3, 64, 64] -> probabilities [N, 1, 1, 1] of being real."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for into in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        layers += [
            nn.Conv2d(into, 2 * into, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * into),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def initialise(module: nn.Module) -> None:
    """As the paper has it: convolutions N(0, 0.02), batch norms N(1, 0.02) and 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def batches(images: Tensor) -> Iterator[Tensor]:
    """uint8 [N, 64, 64, 3] -> [<= BATCH, 3, 64, 64] in -1 ... 1, epoch after epoch, shuffled."""
    while True:
        for rows in torch.randperm(len(images)).split(BATCH):
            yield images[rows].permute(0, 3, 1, 2).float() / 127.5 - 1


def train(images: Tensor, seed: int, recorder: Recorder) -> int:
    """Train until the recorder's budget is over; how many images were shown."""
    torch.manual_seed(seed)
    g, d = generator().apply(initialise), discriminator().apply(initialise)
    optimise_d, optimise_g = (
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (d, g)
    )
    recorder.forget()
    recorder.begin()
    shown = 0
    for real in batches(images):
        _step(g, d, optimise_d, optimise_g, real)
        shown += len(real)
        over = recorder.over
        recorder.take(shown, lambda start, n: _sample(g, start, n), at_last=over)
        if over:
            break
    return shown


def _step(
    g: nn.Module, d: nn.Module, optimise_d: torch.optim.Adam, optimise_g: torch.optim.Adam, real: Tensor
) -> None:
    cross_entropy, n = nn.functional.binary_cross_entropy, len(real)
    optimise_d.zero_grad()
    cross_entropy(d(real).flatten(), torch.ones(n)).backward()
    fake = g(torch.randn(n, LATENTS, 1, 1))
    cross_entropy(d(fake.detach()).flatten(), torch.zeros(n)).backward()
    optimise_d.step()
    optimise_g.zero_grad()
    cross_entropy(d(fake).flatten(), torch.ones(n)).backward()
    optimise_g.step()


def _sample(g: nn.Module, start: int, n: int) -> np.ndarray:
    """uint8 [n, 64, 64, 3]; the random numbers of training stay as they are."""
    z = torch.randn(n, LATENTS, 1, 1, generator=torch.Generator().manual_seed(10_000 + start))
    with torch.no_grad():
        images = ((g(z) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).numpy()
