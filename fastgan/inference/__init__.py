"""From a seed to an image file: latents, runtimes behind one interface, writers, and the pipeline that joins them."""

from fastgan.inference.facts import Facts
from fastgan.inference.inputs import Inputs
from fastgan.inference.latents import latents, parse_seeds
from fastgan.inference.opening import open_generator
from fastgan.inference.runtime import Runtime

__all__ = ["Facts", "Inputs", "Runtime", "latents", "open_generator", "parse_seeds"]
