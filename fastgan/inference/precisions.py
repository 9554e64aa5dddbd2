"""The precisions that a model can be run in."""

from typing import Literal, get_args

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
"""From exact to coarse."""
OF_TORCH = ("fp32", "bf16")
"""What a run is generated from in; the others are an exported model's."""
