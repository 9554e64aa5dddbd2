"""The page itself: one HTML file with everything inside, that opens without a network."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from fastgan.pages.curves import Series, collect, label, plot
from fastgan.pages.document import asset, document
from fastgan.report.cards import table
from fastgan.report.read import Run, embed, pick
from fastgan.report.real import Real, figure

_FRAMES = 60
_GROUPS = {
    "Losses": ("loss_d", "loss_g"),
    "What the discriminator says": ("real", "val", "fake"),
    "Overfitting of the discriminator": ("r_t", "r_v", "augment_p"),
    "Diversity of the samples": ("diversity", "duplicates"),
    "Penalty": ("penalty",),
    "Path length": ("path_length",),
    "Steps skipped": ("skipped",),
}
_EXPLAIN = {
    "loss_d": "the discriminator's loss",
    "loss_g": "the generator's loss",
    "real": "mean logit of images it trains on",
    "val": "mean logit of held-out images",
    "fake": "mean logit of generated images",
    "r_t": "share of real images it is sure of, -1 to 1; near 1: overfitting",
    "r_v": "0: held-out images look as real as the others; 1: as false as fakes",
    "augment_p": "ADA's probability",
    "diversity": "distance between samples, in units of the data's",
    "duplicates": "share of samples with a near copy",
    "img_per_s": "real images a second",
}
_SPEED = {"Speed": ("img_per_s",)}
_NO_CURVES = {"cur_nimg", "seconds"}


def render(run: Run, real: Real | None = None) -> str:
    """The report of `run` as HTML; `real` is what it was trained on."""
    title = f"{run.path.resolve().name} · {run.config.get('model', {}).get('name', 'model')}"
    sections = [
        _header(run, title),
        _tiles(run),
        _events(run),
        table(run.cards),
        _samples(run, real),
        _curves(run),
        _settings(run),
        _machine(run),
    ]
    return document(f"{title} · fastgan report", "".join(filter(None, sections)), asset("page.js"))


def _header(run: Run, title: str) -> str:
    state, word = ("live", "training now") if run.active else ("done", "not running")
    stopped = run.state.get("stopped")
    if not run.active and stopped:
        word = f"stopped: {stopped}"
    elif not run.active and (run.path / "generator.safetensors").exists():
        word = "finished"
    source = run.config.get("data", {}).get("source", "")
    return (
        f'<header><h1>{escape(title)}</h1><span class="state {state}">{escape(word)}</span>'
        f'<p class="source">{escape(str(source))}</p></header>\n'
    )


def _tiles(run: Run) -> str:
    last: Mapping[str, float] = run.lines[-1] if run.lines else {}
    model, data = run.config.get("model", {}), run.state.get("data", {})
    shown = last.get("cur_nimg", run.state.get("cur_nimg", 0))
    seconds = last.get("seconds", run.state.get("seconds", 0.0))
    tiles = {
        "images shown": label(shown),
        "time": _clock(seconds),
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
    body = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in tiles.items())
    return f'<section class="tiles">{body}</section>\n'


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _events(run: Run) -> str:
    if not run.events:
        return ""
    rows = "".join(
        f'<li class="{escape(str(e.get("kind", "")))}"><b>{label(e["cur_nimg"])}</b>'
        f"<i>{escape(str(e.get('kind', '')))}</i><span>{escape(str(e.get('text', '')))}</span></li>"
        for e in run.events
    )
    return f'<section><h2>Warnings and events</h2><ul class="events">{rows}</ul></section>\n'


def _samples(run: Run, real: Real | None) -> str:
    frames = [(int(p.stem), image) for p in pick(run.grids, _FRAMES) if (image := embed(p)) is not None]
    if not frames:
        return f"<section><h2>Samples</h2>{figure(real)}</section>\n" if real else ""
    images = "".join(
        f'<img src="{image}" data-nimg="{label(nimg)}" alt="samples at {label(nimg)} images"'
        f"{'' if i == len(frames) - 1 else ' hidden'}>"
        for i, (nimg, image) in enumerate(frames)
    )
    last = len(frames) - 1
    return (
        f'<section><h2>Samples over time</h2><div class="beside"><div class="film"><div class="frames">{images}</div>'
        f'<div class="controls"><button type="button" id="play">play</button>'
        f'<input id="frame" type="range" min="0" max="{last}" value="{last}" aria-label="moment of training">'
        f'<output id="when">{label(frames[-1][0])} images</output></div></div>{figure(real) if real else ""}</div>'
        f'<p class="note">The averaged generator on the same latents all along; {len(frames)} of {len(run.grids)} '
        f"grids.</p></section>\n"
    )


def _groups(run: Run) -> Iterable[tuple[str, list[Series]]]:
    """Titles and their series: metrics first, for they say most, then what is known, then whatever else there is."""
    known = {name for names in (_GROUPS | _SPEED).values() for name in names} | _NO_CURVES
    others = list(dict.fromkeys(name for line in run.lines for name in line if name not in known))
    for name in others:
        yield name, collect(run.lines, [name])
    for title, names in (_GROUPS | _SPEED).items():
        yield title, collect(run.lines, names)


def _curves(run: Run) -> str:
    marks = [(e["cur_nimg"] / 1000, str(e.get("text", ""))) for e in run.events]
    figures = []
    for title, series in _groups(run):
        if not series:
            continue
        legend = "".join(
            f'<li title="{escape(_EXPLAIN.get(s.name, ""))}"><i class="c{i}"></i>{escape(s.name)} '
            f"<b data-value>{s.points[-1][1]:.4g}</b></li>"
            for i, s in enumerate(series)
        )
        figures.append(
            f"<figure><figcaption><h3>{escape(title)}</h3><ul>{legend}</ul></figcaption>{plot(series, marks)}</figure>"
        )
    if not figures:
        return ""
    return (
        f'<section><h2>Curves</h2><div class="figures">{"".join(figures)}</div>'
        '<p class="note">Across: thousands of real images shown. Faint: as logged; strong: moving average.</p>'
        "</section>\n"
    )


def _settings(run: Run) -> str:
    tables = "".join(
        f"<div><h3>[{escape(name)}]</h3><table>{_rows(table)}</table></div>"
        for name, table in run.config.items()
        if isinstance(table, Mapping)
    )
    return f'<section><h2>Settings</h2><div class="tables">{tables}</div></section>\n'


def _machine(run: Run) -> str:
    facts: dict[str, Any] = {**run.state.get("machine", {}), **run.state.get("versions", {})}
    if not facts:
        return ""
    content = str(run.state.get("data", {}).get("content_hash", ""))
    if content:
        facts["data, SHA-256"] = content
    return f'<section><h2>Machine and versions</h2><div class="tables"><table>{_rows(facts)}</table></div></section>\n'


def _rows(table: Mapping[str, Any]) -> str:
    return "".join(f"<tr><th>{escape(str(k))}</th><td>{_shown(v)}</td></tr>" for k, v in table.items())


def _shown(value: Any) -> str:
    return escape(str(value).lower() if isinstance(value, bool) else str(value)) or "&nbsp;"
