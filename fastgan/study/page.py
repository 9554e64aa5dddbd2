"""report.html of a study: one page with everything inside, in the style of `fastgan report`."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from fastgan.pages.document import document
from fastgan.study import figures, pictures, synthetic
from fastgan.study.plan import words

if TYPE_CHECKING:
    from fastgan.study.study import Study

_STYLE = """
.verdict { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--soft);
  border-radius: 10px; padding: 14px 18px; margin-top: 14px; font-size: 17px; }
.verdict.help { border-left-color: var(--c2); } .verdict.hurt { border-left-color: var(--c1); }
.verdict b { display: block; font-size: 13px; color: var(--soft); font-weight: 400; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; margin-top: 14px; }
.wide td, .wide th { padding: 3px 8px; white-space: nowrap; text-align: right; }
.wide table { font-size: 12px; } .wide td { font-family: inherit; font-variant-numeric: tabular-nums; }
.wide th:first-child, .wide td:first-child { text-align: left; }
.wide td.none { text-align: center; color: var(--soft); }
.wide tr.chosen td { font-weight: 700; }
.pictures img { image-rendering: pixelated; width: min(100%, 860px); display: block; border-radius: 4px; }
.confusion td { text-align: center; padding: 3px 5px; min-width: 30px; } .confusion th { padding: 3px 6px; }
.confusion tr:first-child th { text-align: center; }
.curves { max-width: 760px; }
svg .arm { fill: var(--ink); }
"""
_OF_ARM = (
    ("accuracy", "accuracy"),
    ("macro_f1", "macro-F1"),
    ("gap", "train-test gap"),
    ("calibration_error", "ECE"),
)


def render(study: "Study", report: Mapping[str, Any]) -> str:
    """The page of a finished report; pictures are made anew from the GAN of the first seed."""
    scenarios = report["scenarios"]
    sections = [_header(study), *map(_verdict, scenarios), _tiles(report), _curves(scenarios)]
    for found in scenarios:
        sections += [_arms(found), _confusions(found, report["data"]["names"], report["data"]["kind"])]
    sections += [_pictures(study, found) for found in scenarios[-1:]]
    sections.append(_facts(report))
    body = f"<style>{_STYLE}</style>{''.join(filter(None, sections))}"
    return document(f"{study.folder.resolve().name} · fastgan augment", body)


def _header(study: "Study") -> str:
    return (
        f"<header><h1>Do synthetic images help?</h1>"
        f'<p class="source">{escape(str(study.folder.resolve().name))}: {escape(", ".join(study.task.names[:40]))}</p>'
        "</header>\n"
    )


def _verdict(found: Mapping[str, Any]) -> str:
    told = found["verdict"]
    kind = escape(told["outcome"].split()[0])
    return (
        f'<p class="verdict {kind}"><b>{escape(found["name"])}, {len(found["seeds"])} seeds</b>'
        f"{escape(told['sentence'])}</p>\n"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    data = report["data"]
    tiles = {
        "training, validation, test images": " / ".join(f"{n:,}" for n in data["images"].values()),
        data["kind"]: str(len(data["names"])),
        "pixels": f"{data['side']} x {data['side']} x {data['channels']}",
        "GANs": f"{len(report['gans'])}, each {report['settings']['gan_budget']}",
        "classifiers": f"{len(report['cells'])}",
        "their time": words(report["classifier_seconds"]),
    }
    body = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in tiles.items())
    return f'<section class="tiles">{body}</section>\n'


def _curves(scenarios: Sequence[Mapping[str, Any]]) -> str:
    """Learning curves over the scenarios that differ in images a class alone."""
    chain = [s for s in scenarios if s["per_class"] and not s["minority"]]
    if len(chain) < 2:
        return ""
    last = chain[-1]["verdict"]
    names = dict.fromkeys([chain[0]["arms"][0]["name"], last["best_without"], *filter(None, [last["arm"]])])
    tops = [arm["name"] for arm in chain[0]["arms"] if arm["ceiling"]]
    curves = {name: _points(chain, name) for name in [*names, *tops[-1:]]}
    legend = "".join(f'<li><i class="c{k % 4}"></i>{escape(name)}</li>' for k, name in enumerate(curves))
    return (
        f'<section class="curves"><h2>Learning curves</h2>'
        f"<figure><figcaption><h3>{escape(chain[0]['measure_title'])}, %</h3>"
        f"<ul>{legend}</ul></figcaption>{figures.learning_curves(curves)}</figure>"
        '<p class="note">Across: training images a class. Bars: 95 % intervals of the mean over seeds.</p></section>\n'
    )


def _points(chain: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, Mapping[str, Any]]]:
    return [(s["per_class"], arm["main"]) for s in chain for arm in s["arms"] if arm["name"] == name]


def _arms(found: Mapping[str, Any]) -> str:
    told = found["verdict"]
    colours = [
        (arm["name"], arm["main"], "c2" if arm["ceiling"] else "c1" if arm["synthetic"] else "c0")
        for arm in found["arms"]
    ]
    best = next(arm["main"]["mean"] for arm in found["arms"] if arm["name"] == told["best_without"])
    head = "".join(f"<th>{title}</th>" for _, title in _OF_ARM)
    rows = "".join(_row(arm, told) for arm in found["arms"])
    choices = found["choices"]
    taps = choices and choices["taps"]
    chosen = f"Classical augmentation: {choices['recipe']}, chosen on validation images. " if choices else ""
    if taps:
        chosen += f"Pretrained network: stage {choices['tap']} of {', '.join(taps)}, by cross-validation. "
    return (
        f"<section><h2>{escape(found['name'])}: every arm</h2><figure>{figures.arms(colours, best)}</figure>"
        f'<p class="note">{escape(found["measure_title"])}, %: means over {len(found["seeds"])} seeds with 95 % '
        "intervals; blue: without synthetic images, orange: with them, green: all real images.</p>"
        f'<div class="wide"><table><tr><th></th><th>images</th>{head}<th>over the best</th><th>p (Holm)</th>'
        f"<th>over the same</th><th>p (Holm)</th><th>validation</th></tr>{rows}</table></div>"
        '<p class="note">Over the best arm without synthetic images, and over the same arm without them. '
        f"{escape(chosen + _thrown(found))}Every arm: the same steps, and as many trials on the "
        "validation images of the first seed. The test images were asked once for each classifier.</p></section>\n"
    )


def _thrown(found: Mapping[str, Any]) -> str:
    reasons = next((arm["filter"] for arm in found["arms"] if arm["filter"]), None)
    if reasons is None:
        return ""
    told = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
    return f"Of the images of the first GAN the filter threw away: {told}. "


def _row(arm: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    synthetic = f" + {arm['synthetic_images']:,}" if arm["synthetic"] else ""
    cells = [f"<td>{escape(arm['name'])}</td><td>{arm['real_images']:,}{synthetic}</td>"]
    cells += [f"<td>{_mean(arm[key])}</td>" for key, _ in _OF_ARM]
    if arm["synthetic"] and not arm["synthetic_images"]:
        cells.append('<td class="none" colspan="4">none passed the filter</td>')
    else:
        for against in (arm["over_best"], arm["over_same"]):
            cells += (
                [f"<td>{_points_of(against)}</td>", f"<td>{against['p_holm']:.2g}</td>"]
                if against
                else ["<td></td>"] * 2
            )
    cells.append(f"<td>{100 * arm['val']:.1f}</td>")
    mark = ' class="chosen"' if arm["name"] in (told["arm"], told["best_without"]) else ""
    return f"<tr{mark}>{''.join(cells)}</tr>"


def _mean(e: Mapping[str, Any]) -> str:
    low, high = e["interval"]
    half = "" if low is None else f" ± {50 * (high - low):.1f}"
    return f"{100 * e['mean']:.1f}{half}"


def _points_of(e: Mapping[str, Any]) -> str:
    low, high = e["interval"]
    return f"{100 * e['mean']:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _confusions(found: Mapping[str, Any], names: Sequence[str], kind: str) -> str:
    wanted = [found["verdict"]["best_without"], *filter(None, [found["verdict"]["arm"]])]
    arms = [arm for arm in found["arms"] if arm["name"] in wanted]
    columns = (
        ["no, rightly", "no, wrongly", "yes, wrongly", "yes, rightly"]
        if kind == "attributes"
        else [name[: 16 if len(names) <= 4 else 8] for name in names]
    )
    tables = "".join(
        f"<div><h3>{escape(arm['name'])}</h3><table>{_table(arm['confusion'], names, columns)}</table></div>"
        for arm in arms
    )
    return (
        f'<section><h2>{escape(found["name"])}: confusion</h2><div class="tables confusion">{tables}</div>'
        '<p class="note">Rows: what it is; columns: what the classifier says, in percent of the row, of all seeds.</p>'
        "</section>\n"
    )


def _table(confusion: Sequence[Sequence[int]], names: Sequence[str], columns: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = []
    for name, row in zip(names, confusion, strict=True):
        total = max(sum(row), 1)
        cells = "".join(
            f'<td style="background: color-mix(in srgb, var(--c0) {70 * n / total:.0f}%, transparent)">'
            f"{100 * n / total:.0f}</td>"
            for n in row
        )
        rows.append(f"<tr><th>{escape(name[:16])}</th>{cells}</tr>")
    return f"<tr><th></th>{head}</tr>{''.join(rows)}"


def _pictures(study: "Study", found: Mapping[str, Any]) -> str:
    """Real and synthetic images of the first seed, by class, and the closest pairs."""
    scenario = next(s for s in study.scenarios if s.name == found["name"])
    there = study.stand_in is not None or study.gan_run(scenario, 0) is not None
    if not any(arm.mix for arm in study.arms(scenario)) or not there:  # no GAN is trained for its picture
        return ""
    desk = study.prepared(scenario, 0)
    targets = synthetic.like(desk.train.targets, max(len(desk.train), 400))
    made = synthetic.draw(desk.gan[0], targets, synthetic.STATIC)
    pairs, likeness = pictures.nearest(made, desk.train, desk.describe)
    names = escape(", ".join(study.task.names))
    shown = {
        "Training images": (
            pictures.sheet(study.task, desk.train),
            f"Rows: {names}. As the GAN was given them.",
        ),
        "Synthetic images": (
            pictures.sheet(study.task, made),
            "The first of the first seed's GAN, nothing picked.",
        ),
        "Nearest training images": (
            pairs,
            f"Above: the {pictures.PAIRS} of {len(made)} synthetic images most similar to a training image; below: "
            f"that image. Mean cosine of features to the nearest: {likeness:.3f}.",
        ),
    }
    return "".join(
        f'<section class="pictures"><h2>{escape(found["name"])}: {title.lower()}</h2><img src="{source}" alt="{title}">'
        f'<p class="note">{note}</p></section>\n'
        for title, (source, note) in shown.items()
    )


def _facts(report: Mapping[str, Any]) -> str:
    settings = {key: value for key, value in report["settings"].items() if value not in ("none", "", [], ())}
    facts: dict[str, Any] = {
        **settings,
        "fastgan": report["version"],
        "images, SHA-256": report["data"]["sha256"],
    }
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in facts.items()
    )
    notes = "".join(f"<li><b></b><i>split</i><span>{escape(n)}</span></li>" for n in report["data"]["notes"])
    listed = f'<ul class="events">{notes}</ul>' if notes else ""
    return f'<section><h2>Settings</h2>{listed}<div class="tables"><div><table>{rows}</table></div></div></section>\n'
