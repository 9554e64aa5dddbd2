"""What a run folder has to tell, read without touching it: safe while the run goes on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

from fastgan import ownership
from fastgan.config import read_toml
from fastgan.documents import checked, read_json, read_json_lines
from fastgan.errors import CheckpointError
from fastgan.files import IMAGE_BYTES, open_regular, read_text
from fastgan.pages.images import small_address
from fastgan.report.cards import read_cards

if TYPE_CHECKING:
    from PIL.Image import Image

try:
    import fcntl
except ImportError:  # Windows: whether the run goes on stays unknown there
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_MOST_PIXELS = 2**28  # of a grid: 64 images of 2048 px
_POINTER_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, as its files tell."""

    path: Path
    config: dict[str, Any]
    """config.toml."""
    lines: list[dict[str, float]]
    """log.jsonl: each with `cur_nimg`; values that are no finite numbers are left out."""
    events: list[dict[str, Any]]
    """events.jsonl: `cur_nimg`, `seconds`, `kind`, `text`."""
    grids: list[Path]
    """Sample grids, oldest first."""
    state: dict[str, Any]
    """state.json of the newest checkpoint; empty before the first."""
    cards: dict[str, dict[str, Any]]
    """What fastgan eval left in it: file name -> card."""
    active: bool
    """Whether a process trains in it now."""


def read(path: str | Path) -> Run:
    """The run `path`.

    Raises CheckpointError when it is none or has nothing to show, ConfigError or DocumentError on a broken config.toml.
    """
    run = Path(path)
    if not (run / "config.toml").is_file():
        raise CheckpointError(f"{run} is no training run: it holds no config.toml")
    lines = log_lines(run)
    grids = ownership.grids(run)
    if not lines and not grids:
        raise CheckpointError(
            f"the run {run} has nothing to show yet: neither a line in log.jsonl nor a picture in grids/"
        )
    return Run(
        path=run,
        config=checked(read_toml(run / "config.toml"), dict[str, dict[str, Any]], run / "config.toml"),
        lines=lines,
        events=[dict(event) for event in _lines(run / "events.jsonl", _Event)],
        grids=grids,
        state=_state(run),
        cards=read_cards(run),
        active=_is_locked(run / ".lock"),
    )


def log_lines(run: Path) -> list[dict[str, float]]:
    """log.jsonl, oldest line first: `cur_nimg` and more; values that are no finite numbers are left out."""
    return [_numbers(line) for line in _lines(run / "log.jsonl", _Line)]


class _Line(TypedDict):
    cur_nimg: int


class _Event(TypedDict):
    cur_nimg: int
    kind: NotRequired[str]
    text: NotRequired[str]


class _Data(TypedDict):
    images: NotRequired[int]
    content_hash: NotRequired[str | None]


class _Best(TypedDict):
    metric: str
    value: float
    cur_nimg: int


class _State(TypedDict):
    """What is shown of state.json."""

    cur_nimg: NotRequired[int]
    seconds: NotRequired[float]
    precision: NotRequired[str]
    stopped: NotRequired[str | None]
    best: NotRequired[_Best | None]
    data: NotRequired[_Data]
    machine: NotRequired[dict[str, Any]]
    versions: NotRequired[dict[str, Any]]


def _lines(path: Path, kind: type[T]) -> list[T]:
    """The lines of a file that may be growing, or may have been cut; what is no line of ours is passed over."""
    return read_json_lines(path, kind)[0] if path.is_file() else []


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Its numbers, without those that no curve can show."""
    return {
        k: v for k, v in line.items() if isinstance(v, (int, float)) and abs(v) < 1e300
    }  # NaN is not either


def _state(run: Path) -> dict[str, Any]:
    try:
        folder = run / read_text(run / "latest", _POINTER_BYTES).strip()
        state: dict[str, Any] = dict(read_json(folder / "state.json", _State))
    except (OSError, ValueError):  # none yet, being replaced at this moment, or damaged: the rest is shown
        return {}
    if not 0 <= state.get("seconds", 0.0) < 1e300:
        del state["seconds"]
    return state


def _is_locked(path: Path) -> bool:
    if fcntl is None or not path.is_file():
        return False
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def pick(grids: list[Path], count: int) -> list[Path]:
    """At most `count` of the grids: the first, the last, and evenly between."""
    if len(grids) <= count:
        return grids
    return [grids[round(i * (len(grids) - 1) / (count - 1))] for i in range(count)]


def open_grid(path: Path) -> "Image":
    """A sheet of samples, whole. Raises CheckpointError where it cannot be read, or is larger than any run draws."""
    from PIL import Image

    try:
        with open_regular(path, IMAGE_BYTES) as file, _any_size(), Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise CheckpointError(
                    f"{path} has {image.width}x{image.height} pixels, as no sheet of samples has"
                )
            return image.copy()
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        raise CheckpointError(f"{path} cannot be shown ({error})") from error


def embed(path: Path) -> str | None:
    """An image as a data: address, made smaller where it is larger than a screen; None where it cannot be read.

    None, too, for more than _MOST_PIXELS, which no run draws and which would take gigabytes.
    """
    from PIL import Image

    try:
        with open_regular(path, IMAGE_BYTES) as file, _any_size(), Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            return small_address(image)
    except (OSError, ValueError, SyntaxError, MemoryError):  # cut short, damaged, or gone since it was listed
        return None


@contextmanager
def _any_size() -> Iterator[None]:
    """Without PIL's own limit, which a grid of 64 images of 2048 px would exceed."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
