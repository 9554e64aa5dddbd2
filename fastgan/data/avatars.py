"""Cartoon faces with attributes, drawn on the spot: a CelebA in miniature that needs no download.

The art is Pablo Stanley's avataaars as packaged by python-avatars (MIT, see NOTICE); resvg draws it. Face i depends
on (seed, i) alone, so a smaller set is the beginning of a larger one, however many processes draw.
"""

import io
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fastgan import extras
from fastgan.errors import DataError
from fastgan.machine import at_most, require_memory

if TYPE_CHECKING:
    from fastgan.data.dataset import Dataset

VIEW_BOX = "26 7 212 212"  # head and shoulders; the whole drawing is 264 x 280 with the nose at x = 132
SUPERSAMPLING = 2  # drawn at once, thin lines at 64 px are jagged; four times looks no better than twice
CHUNK = 32  # faces a task of the process pool

BACKGROUNDS = {
    "sky": "#BFE3F5", "mint": "#C8EBD3", "peach": "#FBD7BE", "lilac": "#DCD0F0", "rose": "#F6C9D2", "lemon": "#F8EDB5",
    "sand": "#E5D9C3", "silver": "#D5DBE0", "teal": "#7FB8B5", "denim": "#7E9CC0", "coral": "#F0917F",
    "plum": "#9A7FAE",
}  # fmt: skip

# Costumes that hide the face, and expressions that one would not want on a title page.
_LEFT_OUT = {
    "top": {"ASTRONAUT", "BRIDE", "JEDI", "GLADIATOR_HELMET"},
    "eyes": {"X_DIZZY"},
    "mouth": {"VOMIT"},
    "clothing": {"NONE", "ASTRONAUT_SUIT", "GLADIATOR", "JEDI_ROBE"},
    "accessory": {"EYEPATCH"},
    "eyebrows": {"NONE"},
}
# What a top cannot be combined with: the drawing of the other part would not show, and its attribute would be wrong.
_NO_FACIAL_HAIR = {"CURLY_2", "LONG_HAIR_CURLY", "LOOSE_HAIR", "HIJAB"}
_NO_ACCESSORY = {"LONG_HAIR_CURLY"}
_OWN_COLOR = {"NONE", "SHAVED_SIDES", "STRAIGHT_2", "HAT"}

# Shares of one part against the rest of its kind, where all alike would look odd.
_SHARE_HATS, _SHARE_ACCESSORY, _SHARE_FACIAL_HAIR = 0.12, 0.35, 0.25

_LONG_HAIR = {
    "BIG_HAIR", "CURLY_2", "CURVY", "DREADS", "LONG_HAIR_CURLY", "LONG_NOT_TOO_LONG", "LOOSE_HAIR", "MIA_WALLACE",
    "SHAVED_SIDES", "STRAIGHT_1", "STRAIGHT_2", "STRAIGHT_STRAND", "TWIST_LONG_HAIR", "TWIST_LONG_HAIR_2", "BOB",
}  # fmt: skip
_SUNGLASSES = {"KURT", "SUNGLASSES", "SUNGLASSES_2", "WAYFARERS", "WAYFARERS_2"}
_GLASSES = {"PRESCRIPTION_1", "PRESCRIPTION_2", "ROUND"}
_ALWAYS = (
    "skin_color", "hair_color", "eyes", "eyebrows", "nose", "mouth", "clothing", "clothing_color", "hat_color",
)  # fmt: skip
_SUMMARIES = ("smiling", "glasses", "sunglasses", "hat", "long_hair", "bald", "beard", "moustache")


@dataclass(frozen=True)
class Face:
    """The parts of one face: their names, and what python-avatars is to be given."""

    parts: dict[str, str]  # kind -> name; without hair_color when no hair shows
    arguments: dict[str, Any]
    background: str

    def attributes(self) -> set[str]:
        """The names of the attributes that are 1: `kind=name` for each part, and CelebA-like summaries."""
        part = self.parts
        hat = part["top"].startswith("hat_")
        beard = "beard" in part["facial_hair"]
        summaries = {
            "smiling": part["mouth"] in ("smile", "big_smile", "twinkle"),
            "glasses": part["accessory"].upper() in _GLASSES,
            "sunglasses": part["accessory"].upper() in _SUNGLASSES,
            "hat": hat or part["top"] == "hair_hat",
            "long_hair": part["top"].removeprefix("hair_").upper() in _LONG_HAIR,
            "bald": part["top"] in ("hair_none", "hair_sides"),
            "beard": beard,
            "moustache": not beard and part["facial_hair"] != "none",
        }
        return {f"{kind}={name}" for kind, name in part.items()} | {
            name for name in _SUMMARIES if summaries[name]
        }


def render(
    n: int,
    *,
    size: int = 64,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> "Dataset":
    """Draw `n` random faces: images uint8 [n, size, size, 3], attributes float32 [n, A].

    workers: processes that draw; more than one needs the caller's script to be importable (`if __name__ ==
    "__main__"`), as multiprocessing always does. progress: called as progress("draw", done, n). Raises DataError when
    the packages that hold the art are not installed.
    """
    import torch

    from fastgan.data.dataset import Dataset, content_hash, encode_names

    if n < 1 or size < 1:
        raise DataError(f"cannot draw {n} avatars of {size} pixels: both must be at least 1")
    names = attribute_names()
    each = 3 * size * size + 4 * len(names)
    require_memory(n * each, f"{n:,} avatars of {size} px", f"draw at most {at_most(each):,}")
    column = {name: index for index, name in enumerate(names)}
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    attributes = torch.zeros(n, len(names))
    done = 0
    for faces in _draw_all(n, size, seed, workers):
        images[done : done + len(faces)] = faces
        for index in range(done, done + len(faces)):
            attributes[index, [column[name] for name in choose(seed, index).attributes()]] = 1
        done += len(faces)
        if progress is not None:
            progress("draw", done, n)
    pixels = torch.from_numpy(images)
    return Dataset(
        images=pixels,
        attributes=attributes,
        attribute_names=names,
        content_hash=content_hash(pixels, None, attributes),
        provenance={
            "source": "avatars",
            "kind": "avatars",
            "seed": seed,
            "art": "avataaars by Pablo Stanley, via python-avatars (MIT)",
            "python_avatars": version("python-avatars"),
            "resvg_py": version("resvg-py"),
        },
        name_bytes=encode_names([f"{index:06d}" for index in range(n)]),
    )


def attribute_names() -> tuple[str, ...]:
    """The attribute columns: the summaries, then `kind=name` for every part that is drawn."""
    named = [f"{kind}={name}" for kind, options in _options().items() for name in options]
    return (*_SUMMARIES, *named, *(f"background={name}" for name in BACKGROUNDS))


def choose(seed: int, index: int) -> Face:
    """The parts of face `index`: a function of its arguments alone."""
    dice = _Dice(seed, index)
    options = _options()
    tops = options["top"]
    hats = dice.share(_SHARE_HATS)
    names = {"top": dice.pick([name for name in tops if name.startswith("hat_") == hats])}
    for kind in _ALWAYS:
        names[kind] = dice.pick(list(options[kind]))
    top = names["top"].partition("_")[2].upper()
    for kind, share, excluded in (
        ("accessory", _SHARE_ACCESSORY, _NO_ACCESSORY),
        ("facial_hair", _SHARE_FACIAL_HAIR, _NO_FACIAL_HAIR),
    ):
        wears = dice.share(share) and top not in excluded
        names[kind] = dice.pick([name for name in options[kind] if name != "none"]) if wears else "none"
    background = dice.pick(list(BACKGROUNDS))
    arguments = {kind: options[kind][name] for kind, name in names.items()}
    arguments["facial_hair_color"] = arguments["hair_color"]
    own_color = hats or top in _OWN_COLOR
    if own_color and names["facial_hair"] == "none":
        del names["hair_color"]
    if not hats:
        del names["hat_color"]
    return Face({**names, "background": background}, arguments, BACKGROUNDS[background])


def draw(face: Face, size: int) -> np.ndarray:
    """One face as uint8 [size, size, 3]."""
    avatars, resvg = _packages()
    svg = avatars.Avatar(style=avatars.AvatarStyle.TRANSPARENT, **face.arguments).render()
    head, closing, body = svg.partition(">")
    head = head[: head.index(" width=")] + f' viewBox="{VIEW_BOX}" version="1.1"'
    large = size * SUPERSAMPLING
    png = resvg.svg_to_bytes(
        svg_string=head + closing + body,
        width=large,
        height=large,
        background=face.background,
        skip_system_fonts=True,
    )
    image = Image.open(io.BytesIO(bytes(png))).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))  # [H, W, 3]


def _draw_all(n: int, size: int, seed: int, workers: int) -> Iterator[np.ndarray]:
    """Faces 0 .. n in order, in pieces uint8 [<= CHUNK, size, size, 3]."""
    tasks = [(seed, start, min(start + CHUNK, n), size) for start in range(0, n, CHUNK)]
    _packages()  # a missing package is told here, not by a worker
    if workers <= 1 or len(tasks) == 1:
        yield from map(_draw_chunk, tasks)
        return
    # resvg holds the interpreter lock, so threads would not help; torch's threads do not survive a fork, so spawn.
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=get_context("spawn"), initializer=_ignore_interrupt
    ) as pool:
        try:
            yield from pool.map(_draw_chunk, tasks)
        finally:
            pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C is the parent's to answer; a worker that heard it too would only print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _draw_chunk(task: tuple[int, int, int, int]) -> np.ndarray:
    seed, start, stop, size = task
    return np.stack([draw(choose(seed, index), size) for index in range(start, stop)])


class _Dice:
    """Random choices from raw Philox output, which no numpy version may change."""

    def __init__(self, seed: int, index: int) -> None:
        self._philox = np.random.Philox(key=np.array([seed % 2**64, index], dtype=np.uint64))

    def share(self, share: float) -> bool:
        return int(self._philox.random_raw()) < share * 2**64

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self._philox.random_raw()) % len(options)]


@cache
def _options() -> dict[str, dict[str, Any]]:
    """kind -> name -> python-avatars' member, in the package's order, without what is left out."""
    pa, _ = _packages()
    kinds = {
        "skin_color": pa.SkinColor,
        "hair_color": pa.HairColor,
        "hat_color": pa.ClothingColor,
        "eyes": pa.EyeType,
        "eyebrows": pa.EyebrowType,
        "nose": pa.NoseType,
        "mouth": pa.MouthType,
        "facial_hair": pa.FacialHairType,
        "accessory": pa.AccessoryType,
        "clothing": pa.ClothingType,
        "clothing_color": pa.ClothingColor,
    }
    options = {
        kind: {part.name.lower(): part for part in parts if part.name not in _LEFT_OUT.get(kind, ())}
        for kind, parts in kinds.items()
    }
    tops = [("hair_", part) for part in pa.HairType] + [("hat_", part) for part in pa.HatType]
    options["top"] = {
        prefix + part.name.lower(): part for prefix, part in tops if part.name not in _LEFT_OUT["top"]
    }
    return options


@cache
def _packages() -> tuple[Any, Any]:
    """(python_avatars, resvg_py). Raises DataError when they are not installed."""
    try:
        with _untouched_random():
            import python_avatars
            import resvg_py
    except ImportError as error:
        raise DataError(
            f"drawing avatars needs the package {error.name}: {extras.install_line('demo')}"
        ) from error
    return python_avatars, resvg_py


@contextmanager
def _untouched_random() -> Iterator[None]:
    """python-avatars draws from the global generator when it is imported; leave the user's sequence alone."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
