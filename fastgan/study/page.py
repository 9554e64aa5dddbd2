"""report.html of a study: what its template, page.html.j2, shows, in the style of `fastgan report`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastgan.pages.document import render as document
from fastgan.study import figures, pictures, synthetic
from fastgan.text import duration

if TYPE_CHECKING:
    from fastgan.study.study import Study


def render(study: "Study", report: Mapping[str, Any]) -> str:
    """The page of a finished report; pictures are made anew from the GAN of the first seed."""
    scenarios = report["scenarios"]
    return document(
        "study/page.html.j2",
        name=study.folder.resolve().name,
        names=study.task.names,
        report=report,
        tiles=_tiles(report),
        learning=_learning(scenarios),
        arms={found["name"]: _arms(found) for found in scenarios},
        chosen={found["name"]: _chosen(found) for found in scenarios},
        columns=_columns(report["data"]),
        pictures=[(found, _pictures(study, found)) for found in scenarios[-1:]],
        facts=_facts(report),
    )


def _tiles(report: Mapping[str, Any]) -> dict[str, str]:
    data = report["data"]
    return {
        "training, validation, test images": " / ".join(f"{n:,}" for n in data["images"].values()),
        data["kind"]: str(len(data["names"])),
        "pixels": f"{data['side']} x {data['side']} x {data['channels']}",
        "GANs": f"{len(report['gans'])}, each {report['settings']['gan_budget']}",
        "classifiers": f"{len(report['cells'])}",
        "their time": duration(report["classifier_seconds"]),
    }


def _learning(scenarios: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Learning curves over the scenarios that differ in images a class alone; None where there is but one."""
    chain = [s for s in scenarios if s["per_class"] and not s["minority"]]
    if len(chain) < 2:
        return None
    last = chain[-1]["verdict"]
    names = dict.fromkeys([chain[0]["arms"][0]["name"], last["best_without"], *filter(None, [last["arm"]])])
    tops = [arm["name"] for arm in chain[0]["arms"] if arm["ceiling"]]
    curves = {name: _points(chain, name) for name in [*names, *tops[-1:]]}
    return {
        "title": f"{chain[0]['measure_title']}, %",
        "legend": [{"name": name} for name in curves],
        "curves": figures.learning_curves(curves),
    }


def _points(chain: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, Mapping[str, Any]]]:
    return [(s["per_class"], arm["main"]) for s in chain for arm in s["arms"] if arm["name"] == name]


def _arms(found: Mapping[str, Any]) -> str:
    """Every arm of a scenario as SVG."""
    told = found["verdict"]
    colours = [
        (arm["name"], arm["main"], "c2" if arm["ceiling"] else "c1" if arm["synthetic"] else "c0")
        for arm in found["arms"]
    ]
    best = next(arm["main"]["mean"] for arm in found["arms"] if arm["name"] == told["best_without"])
    return figures.arms(colours, best)


def _chosen(found: Mapping[str, Any]) -> str:
    """What was chosen on validation images, and what the filter threw away, in sentences."""
    choices = found["choices"]
    text = f"Classical augmentation: {choices['recipe']}, chosen on validation images. " if choices else ""
    if choices and choices["taps"]:
        text += f"Pretrained network: stage {choices['tap']} of {', '.join(choices['taps'])}, by cross-validation. "
    reasons = next((arm["filter"] for arm in found["arms"] if arm["filter"]), None)
    if reasons is not None:
        thrown = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
        text += f"Of the images of the first GAN the filter threw away: {thrown}. "
    return text


def _columns(data: Mapping[str, Any]) -> list[str]:
    """The heads of a confusion table."""
    if data["kind"] == "attributes":
        return ["no, rightly", "no, wrongly", "yes, wrongly", "yes, rightly"]
    return [name[: 16 if len(data["names"]) <= 4 else 8] for name in data["names"]]


def _pictures(study: "Study", found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Real and synthetic images of the first seed, by class, and the closest pairs: title, data: address, note."""
    scenario = next(s for s in study.scenarios if s.name == found["name"])
    there = study.stand_in is not None or study.gan_run(scenario, 0) is not None
    if not any(arm.mix for arm in study.arms(scenario)) or not there:  # no GAN is trained for its picture
        return []
    desk = study.prepared(scenario, 0)
    targets = synthetic.like(desk.train.targets, max(len(desk.train), 400))
    made = synthetic.draw(desk.gan[0], targets, synthetic.STATIC)
    pairs, likeness = pictures.nearest(made, desk.train, desk.describe)
    names = ", ".join(study.task.names)
    return [
        (
            "Training images",
            pictures.sheet(study.task, desk.train),
            f"Rows: {names}. As the GAN was given them.",
        ),
        (
            "Synthetic images",
            pictures.sheet(study.task, made),
            "The first of the first seed's GAN, nothing picked.",
        ),
        (
            "Nearest training images",
            pairs,
            f"Above: the {pictures.PAIRS} of {len(made)} synthetic images most similar to a training image; below: "
            f"that image. Mean cosine of features to the nearest: {likeness:.3f}.",
        ),
    ]


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    settings = {key: value for key, value in report["settings"].items() if value not in ("none", "", [], ())}
    facts = {**settings, "fastgan": report["version"], "images, SHA-256": report["data"]["sha256"]}
    return {key: str(value) for key, value in facts.items()}
