"""The report of a run: what its template, page.html.j2, shows."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastgan.pages.curves import Series, collect, label, plot
from fastgan.pages.document import render as document
from fastgan.report.cards import protocol
from fastgan.report.read import Run, embed, pick
from fastgan.report.real import Real
from fastgan.text import clock

_FRAMES = 60
_GROUPS = {
    "Losses": ("loss_d", "loss_g"),
    "What the discriminator says": ("real", "val", "fake"),
    "Overfitting of the discriminator": ("r_t", "r_v", "augment_p"),
    "Diversity of the samples": ("diversity", "duplicates"),
    "Penalty": ("penalty",),
    "Path length": ("path_length",),
    "Reconstruction": ("reconstruction",),
    "Steps skipped": ("skipped",),
    "Speed": ("img_per_s",),
}
_EXPLAIN = {
    "loss_d": "the discriminator's loss",
    "loss_g": "the generator's loss",
    "real": "mean logit of images it trains on",
    "val": "mean logit of held-out images",
    "fake": "mean logit of generated images",
    "r_t": "share of real images it is sure of, -1 to 1; near 1: overfitting",
    "reconstruction": "mean difference of images made from the latents of real ones, of 2",
    "r_v": "0: held-out images look as real as the others; 1: as false as fakes",
    "augment_p": "ADA's probability",
    "diversity": "distance between samples, in units of the data's",
    "duplicates": "share of samples with a near copy",
    "img_per_s": "real images a second",
}
_NO_CURVES = {"cur_nimg", "seconds"}


def render(run: Run, real: Real | None = None) -> str:
    """The report of `run` as HTML; `real` is what it was trained on."""
    return document(
        "report/page.html.j2",
        run=run,
        title=f"{run.path.resolve().name} · {run.config.get('model', {}).get('name', 'model')}",
        state=_state(run),
        tiles=_tiles(run),
        cards=run.cards,
        protocol=protocol,
        frames=[(int(p.stem), image) for p in pick(run.grids, _FRAMES) if (image := embed(p)) is not None],
        real=real,
        figures=list(_figures(run)),
        settings={name: table for name, table in run.config.items() if isinstance(table, Mapping)},
        machine=_machine(run),
    )


def _state(run: Run) -> str:
    stopped = run.state.get("stopped")
    if run.active:
        return "training now"
    if stopped:
        return f"stopped: {stopped}"
    return "finished" if (run.path / "generator.safetensors").exists() else "not running"


def _tiles(run: Run) -> dict[str, str]:
    last: Mapping[str, float] = run.lines[-1] if run.lines else {}
    model, data = run.config.get("model", {}), run.state.get("data", {})
    shown = last.get("cur_nimg", run.state.get("cur_nimg", 0))
    seconds = last.get("seconds", run.state.get("seconds", 0.0))
    tiles = {
        "images shown": label(shown),
        "time": clock(seconds),
        "images/s, overall": f"{shown / seconds:.3g}" if seconds else "?",
        "resolution": f"{model.get('resolution', '?')} px",
        "images in the set": f"{data['images']:,}" if "images" in data else "?",
        "precision": str(run.state.get("precision", "?")),
    }
    if data.get("images"):
        tiles["epochs"] = f"{shown / data['images']:.3g}"
    best = run.state.get("best")
    if best:
        tiles[f"best {best['metric']}"] = f"{best['value']:.4g} at {label(best['cur_nimg'])}"
    return tiles


def _groups(run: Run) -> Iterator[tuple[str, list[Series]]]:
    """Titles and their series: metrics first, for they say most, then what is known."""
    known = {name for names in _GROUPS.values() for name in names} | _NO_CURVES
    for name in dict.fromkeys(name for line in run.lines for name in line if name not in known):
        yield name, collect(run.lines, [name])
    for title, names in _GROUPS.items():
        yield title, collect(run.lines, names)


def _figures(run: Run) -> Iterator[dict[str, Any]]:
    """Of each group that the log has: its title, the legend's entries, and its curves as SVG."""
    marks = [(event["cur_nimg"] / 1000, str(event.get("text", ""))) for event in run.events]
    for title, series in _groups(run):
        legend = [
            {"name": s.name, "explain": _EXPLAIN.get(s.name, ""), "value": s.points[-1][1]} for s in series
        ]
        if series:
            yield {"title": title, "legend": legend, "curves": plot(series, marks)}


def _machine(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {**run.state.get("machine", {}), **run.state.get("versions", {})}
    content = str(run.state.get("data", {}).get("content_hash", ""))
    if facts and content:
        facts["data, SHA-256"] = content
    return facts
