"""Layers built on `fastgan.ops`."""

from fastgan.nn.bake import bake
from fastgan.nn.conditions import CONDITIONINGS, Condition, ConditionalDiscriminator, check, encode
from fastgan.nn.conv import Conv2d, conv2d
from fastgan.nn.discriminator import ConvAct, DownBlock, MinibatchStddev
from fastgan.nn.equalized import EqualizedConv2d, EqualizedLinear
from fastgan.nn.precision import at_least_float32, compute_dtype, full_precision
from fastgan.nn.projected import ProjectedDiscriminator
from fastgan.nn.recompute import recompute_blocks
from fastgan.nn.spectral import spectral_norm
from fastgan.nn.styled import StyledConv, StyleEpilogue

__all__ = [
    "CONDITIONINGS",
    "Condition",
    "ConditionalDiscriminator",
    "Conv2d",
    "ConvAct",
    "DownBlock",
    "EqualizedConv2d",
    "EqualizedLinear",
    "MinibatchStddev",
    "ProjectedDiscriminator",
    "StyleEpilogue",
    "StyledConv",
    "at_least_float32",
    "bake",
    "check",
    "compute_dtype",
    "conv2d",
    "encode",
    "full_precision",
    "recompute_blocks",
    "spectral_norm",
]
