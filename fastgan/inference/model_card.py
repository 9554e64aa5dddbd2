"""The page of a model on the Hugging Face Hub: what it is, how it is opened, how it scores and by which protocol."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from fastgan.documents import read_json
from fastgan.errors import ConfigError, DocumentError
from fastgan.inference.facts import Facts
from fastgan.text import shown

RELEASE, SAMPLES = "model.safetensors", "samples.png"
_RUNS_CARD = "eval.json"
_NAMED = 40  # classes and attributes
_CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}


class _Card(TypedDict):
    """What is read of a card."""

    format: Literal["fastgan.eval"]
    scores: dict[str, float]
    protocol: dict[str, Any]
    generated: dict[str, Any]


def scores_of(card: Any, facts: Facts) -> Mapping[str, Any] | None:
    """The content of a card: given as such, by its path, or as what has a `content`; None: the run's own, if any.

    Raises ConfigError for what is none, and for one of other weights than `facts` names.
    """
    if card is None:
        found = _read(Path(facts.source) / _RUNS_CARD, missing_ok=True)
        return found if found and found["generated"].get("fingerprint") == facts.fingerprint else None
    content = getattr(card, "content", card)
    if isinstance(content, str | os.PathLike):
        content = _read(Path(content), missing_ok=False)
    parts = ("scores", "protocol", "generated")
    if not isinstance(content, Mapping) or not all(isinstance(content.get(p), Mapping) for p in parts):
        raise ConfigError("`card` is no card: give what fastgan.evaluate gave, or the path of its eval.json.")
    if content["generated"].get("fingerprint") != facts.fingerprint:
        raise ConfigError(
            f"the card is of other weights than {facts.source}: score this model, or leave `card` away."
        )
    return content


def _read(path: Path, *, missing_ok: bool) -> dict[str, Any] | None:
    try:
        return dict(read_json(path, _Card))
    except (FileNotFoundError, NotADirectoryError):
        if missing_ok:
            return None
        raise ConfigError(f"{path} does not exist: give a card that fastgan eval wrote.") from None
    except (OSError, DocumentError) as error:
        raise ConfigError(f"{path} is not a card that fastgan eval wrote ({error}).") from error


def text(facts: Facts, repo: str, card: Mapping[str, Any] | None) -> str:
    """README.md of a repository: Markdown after a head of YAML. The licence is its author's to add."""
    trained = "" if facts.cur_nimg is None else f", after {facts.cur_nimg / 1000:,.1f} thousand images"
    size = f"{facts.resolution} x {facts.resolution}"
    channels = _CHANNELS.get(facts.img_channels, str(facts.img_channels))
    return f"""---
library_name: fastgan
pipeline_tag: unconditional-image-generation
tags:
- fastgan
- gan
- {facts.model}
---
# {repo.partition("/")[2]}

A `{facts.model}` generator of {size} {channels} images, trained with fastgan{trained}.

![Samples: seeds 0 to 63 in turn, nothing picked]({SAMPLES})

## Use

```python
import fastgan

g = fastgan.load("hf://{repo}")    # pip install fastgan huggingface_hub
images = g.sample(64, seed=0)      # uint8 [64, {facts.resolution}, {facts.resolution}, {facts.img_channels}]
g.grid(64)                         # a PIL image
```

`fastgan generate hf://{repo} -n 1000 -o out/` writes files. The image of a seed is the same everywhere, to one grey
level of 255 between runtimes and devices. `{RELEASE}` holds weights and settings; nothing in this repository is code.

## The model

| | |
| --- | --- |
| architecture | `{facts.model}` |
| images | {size}, {channels} |
| latent | {facts.z_dim} numbers, standard normal |
{_conditions(facts)}| fingerprint | `{facts.fingerprint}` |
| training data | {"unknown" if facts.data_hash is None else f"content hash `{facts.data_hash}`"} |

## Scores

{_scores(card)}
## Licence

Not stated: the author of this model adds `license:` to the head of this page.
"""


def _conditions(facts: Facts) -> str:
    named = (("classes", facts.class_names), ("attributes", facts.attribute_names))
    return "".join(f"| {what} | {_list(names)} |\n" for what, names in named if names)


def _list(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(_cell(name) for name in names[:_NAMED]) + more


def _cell(name: object) -> str:
    """A text as code in a table: whatever a data set calls its classes, none of it is Markdown or HTML."""
    kept = shown(str(name)).replace("`", "'").replace("|", "/")
    return f"`{kept}`"


def _scores(card: Mapping[str, Any] | None) -> str:
    if card is None:
        return "None were given.\n"
    rows = "".join(f"| {_cell(name)} | {float(value):.5g} |\n" for name, value in card["scores"].items())
    protocol = "".join(f"| {name} | {_cell(value)} |\n" for name, value in _flat(card["protocol"]).items())
    return (
        f"| score | value |\n| --- | ---: |\n{rows}\nTwo scores may be compared where their protocols are the same:\n\n"
        f"| protocol | |\n| --- | --- |\n{protocol}"
    )


def _flat(protocol: Mapping[str, Any]) -> dict[str, object]:
    """Tables within as dotted names."""
    flat: dict[str, object] = {}
    for name, value in protocol.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        flat |= {shown(f"{name}.{key}"): item for key, item in inner} or {shown(str(name)): value}
    return flat
