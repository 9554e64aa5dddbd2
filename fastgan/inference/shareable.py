"""What an opened generator offers for looking at it and for giving it away."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgan import arguments
from fastgan.errors import ConfigError
from fastgan.files import check_output
from fastgan.inference import hub, model_card
from fastgan.inference.conditions import Request
from fastgan.inference.facts import Facts
from fastgan.inference.grid import check_sheet, contact_sheet, rows_of, sheet_columns
from fastgan.naming import named
from fastgan.seeds import MAX_SEED, MAX_SEEDS

if TYPE_CHECKING:
    from PIL import Image

_IMAGES, _A_CLASS = 64, 8  # of a sheet, where no number is given


class Shareable(ABC):
    """A sheet of images, a file, a repository on the Hugging Face Hub."""

    facts: Facts
    resolution: int

    @abstractmethod
    def request(
        self,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
        noise: str = "const",
    ) -> Request:
        """A checked request."""

    @abstractmethod
    def images(self, seeds: Sequence[int], request: Request) -> NDArray[np.uint8]:
        """The images of seeds: uint8 [n, H, W, C]."""

    def grid(
        self,
        n: int | None = None,
        seed: int = 0,
        *,
        columns: int | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        classes: str | Iterable[str] | None = None,
        attributes: Mapping[str, float] | None = None,
        noise: str = "const",
    ) -> "Image.Image":
        """A sheet of the images of seeds seed, seed + 1, ..., as a PIL image, which a notebook shows.

        n: 64 by default. columns: as square as can be by default. Where several classes are named there is a row a
        class, of n (8) images, with the same z along each column. The other arguments are those of `sample`. It is the
        sheet that `fastgan generate --grid` writes. Raises ConfigError for one of over 16,384 pixels a side.
        """
        asked = self.request(
            truncation_psi, truncation_cutoff, classes=classes, attributes=attributes, noise=noise
        )
        rows = rows_of(asked)
        usual = _IMAGES if len(rows) == 1 else _A_CLASS
        n = usual if n is None else arguments.whole_number(n, "n", 1, MAX_SEEDS)
        seed = arguments.whole_number(seed, "seed", 0, MAX_SEED - n + 1)
        if columns is None:
            columns = sheet_columns(n, self.resolution, asked)
        else:
            columns = arguments.whole_number(columns, "columns", 1, n * len(rows))
            check_sheet(-(-n * len(rows) // columns), columns, self.resolution)
        return _picture(
            contact_sheet(np.concatenate([self.images(range(seed, seed + n), row) for row in rows]), columns)
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write this generator to one file, a release (.safetensors), which `fastgan.load` opens; returns its path.

        Weights and settings alone: no discriminator, no optimizer, no path of the data. overwrite: replace what is
        there, never what this generator was opened from.
        Raises CheckpointError where that is gone, or holds other weights by now, as a run that was trained on;
        ConfigError for an exported model, and for a name that does not end in .safetensors; OutputError for a place
        where it cannot be written.
        """
        target = arguments.path(path, "path")
        if target.suffix.lower() != ".safetensors":
            raise ConfigError(
                f"{named('path', str(target))} is no name of a release: let it end in .safetensors."
            )
        check_output(target, overwrite=overwrite, sources=[self.facts.source])
        self._write_release(target)
        return target

    def _write_release(self, target: Path) -> None:
        raise ConfigError(
            f"{self.facts.source} is run by ONNX Runtime, which gives no weights away: copy the exported file "
            "itself, or open the run or release that it was exported from."
        )

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool = False,
        token: str | None = None,
        card: "str | os.PathLike[str] | Mapping[str, Any] | Any | None" = None,
    ) -> str:
        """Upload this generator to "user/name" on the Hugging Face Hub; returns the address, for `fastgan.load`.

        model.safetensors is what `save` writes, samples.png a sheet of 64 images, and README.md says what it is, how
        to open it, and how it scores; nothing in it runs code. What is there under these names is replaced.
        private: of a repository that is made; one that is there stays as it is. token: by default the one that
        `hf auth login` or HF_TOKEN gave. card: scores with their protocol: what `fastgan.evaluate` gave, or the path
        of a card; by default the run's eval.json, where it is of these weights.
        Needs `pip install huggingface_hub`. Raises HubError where the Hub cannot be reached or refuses, ConfigError for
        a card of another model, and what `save` raises.
        """
        where = hub.Address.of_repo(repo)
        hub.client()  # before the work
        scores = model_card.scores_of(card, self.facts)
        with TemporaryDirectory(prefix="fastgan.") as folder:
            self.save(Path(folder) / model_card.RELEASE)
            self.grid().save(Path(folder) / model_card.SAMPLES)
            text = model_card.text(self.facts, where.repo, scores)
            (Path(folder) / "README.md").write_text(text, encoding="utf-8")
            return hub.upload(where, Path(folder), private=private, token=token)


def _picture(sheet: NDArray[np.uint8]) -> "Image.Image":
    from PIL import Image

    return Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)
