"""Checks that the Configs of all models share; each raises ConfigError with one sentence."""

from typing import Any

from fastgan.errors import ConfigError


def integer(key: str, value: Any, low: int, high: int) -> None:
    """Raise unless `value` is an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"[model] {key} = {value!r} must be a whole number from {low} to {high}.")


def number(key: str, value: Any, low: float, high: float, *, above: bool = False) -> None:
    """Raise unless `value` is a number in [low, high], or in (low, high] with `above`."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not low <= value <= high or (above and value == low):
        start = f"above {low:g} and at most" if above else f"from {low:g} to"
        raise ConfigError(f"[model] {key} = {value!r} must be a number {start} {high:g}.")


def choice(key: str, value: Any, options: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `options`."""
    if value not in options:
        raise ConfigError(f"[model] {key} = {value!r} is unknown: choose one of {', '.join(options)}.")


def images(resolution: Any, img_channels: Any) -> None:
    """Raise unless the images are squares of a power of two from 8 to 4096 with 1 to 4 channels."""
    integer("resolution", resolution, 8, 4096)
    if resolution & (resolution - 1):
        lower = 1 << (resolution.bit_length() - 1)
        raise ConfigError(
            f"[model] resolution = {resolution} must be a power of two: {lower} and {2 * lower} are the nearest."
        )
    integer("img_channels", img_channels, 1, 4)
