"""From a seed to an image file: latents, runtimes behind one interface, writers, and the pipeline that joins them."""

from fastgan.inference.latents import latents, parse_seeds
from fastgan.inference.runtime import Facts, Runtime, open_generator

__all__ = ["Facts", "Runtime", "latents", "open_generator", "parse_seeds"]
