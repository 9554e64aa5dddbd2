"""From a seed to an image file: runtimes behind one interface, writers, and the pipeline that joins them."""

from fastgan.inference.facts import Facts
from fastgan.inference.inputs import Inputs
from fastgan.inference.opening import open_generator
from fastgan.inference.runtime import Runtime

__all__ = ["Facts", "Inputs", "Runtime", "open_generator"]
