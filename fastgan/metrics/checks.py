"""What every score asks of its features before it computes anything."""

from torch import Tensor

from fastgan.errors import MetricError


def checked(features: Tensor, what: str, *, at_least: int = 2) -> Tensor:
    """`features` [N, D] in float64, fit to be scored; `what` names the set in the messages.

    Raises MetricError for fewer rows than `at_least`, for NaN or infinite values, and where all rows are alike.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise MetricError(f"the {what} features have shape {[*features.shape]}; they must be [N, D].")
    if len(features) < at_least:
        raise MetricError(
            f"there are {len(features)} {what} images, and this metric needs at least {at_least}."
        )
    check_finite(features, what)
    if bool((features == features[0]).all()):
        raise MetricError(
            f"the {what} features are the same for all {len(features)} images: the images are all alike, or the "
            "extractor does not look at them."
        )
    return features.double()


def check_finite(features: Tensor, what: str) -> None:
    """Raise MetricError, naming the first image, where a feature is NaN or infinite."""
    good = features.isfinite().all(1)
    if not bool(good.all()):
        first = int((~good).nonzero()[0])
        raise MetricError(
            f"{int((~good).sum())} of {len(features)} {what} images have features that are NaN or infinite, first "
            f"number {first}: the extractor overflowed, or the images are broken."
        )


def check_widths(real: Tensor, generated: Tensor) -> None:
    """Raise MetricError unless both are features of the same width."""
    if real.shape[-1] != generated.shape[-1]:
        raise MetricError(
            f"real features have {real.shape[-1]} dimensions and generated ones {generated.shape[-1]}: "
            "they come from different extractors."
        )
