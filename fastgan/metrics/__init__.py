"""How good is it? Scores of generated images against real ones, each together with the protocol that made it.

The scores are functions of features [N, D], in float64:

    frechet_distance(real, generated) -> float            kernel_distance(real, generated) -> mean, std
    inception_score(logits) -> mean, std                  manifold_scores(real, generated) -> precision, recall, ...

and of the mean spectrum of pixels [9]: periodic_artefacts(powers(real).mean(0), powers(generated).mean(0)) -> float.

`evaluator(dataset, metrics=("kid",))` returns a function of images that does it all; `open_extractor(name)` opens
the network that turns images into features. Its name is part of every number's name: `kid[effnet-lite0]`.
Nothing heavy is imported before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgan.metrics.evaluate import Evaluator, evaluator
    from fastgan.metrics.extractor import Extractor
    from fastgan.metrics.extractors import open_extractor
    from fastgan.metrics.frechet import frechet_distance
    from fastgan.metrics.isc import inception_score
    from fastgan.metrics.kernel import kernel_distance
    from fastgan.metrics.manifold import manifold_scores
    from fastgan.metrics.periodic import periodic_artefacts, powers

__all__ = [
    "Evaluator",
    "Extractor",
    "evaluator",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "manifold_scores",
    "open_extractor",
    "periodic_artefacts",
    "powers",
]

_HOME = {
    "Evaluator": "evaluate",
    "Extractor": "extractors",
    "evaluator": "evaluate",
    "frechet_distance": "frechet",
    "inception_score": "isc",
    "kernel_distance": "kernel",
    "manifold_scores": "manifold",
    "open_extractor": "extractors",
    "periodic_artefacts": "periodic",
    "powers": "periodic",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fastgan.metrics.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
