"""The study of docs/augmentation.md: `fastgan augment` on five small sets, and the tables of what came out.

    python tools/small_datasets.py SETS mnist animals emoji avatars solar      the images
    python tools/augmentation_study.py run SETS OUT [--gan-budget 4m]          hours; Ctrl-C, and the same call goes on
    python tools/augmentation_study.py table OUT [--write docs/augmentation.md]    what is there so far

Each set: 20 and 50 images a class, 5 seeds, every arm; solar cells also with their defects thinned to 5. What a set
costs is said by `--dry-run` before anything is trained.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARKS = ("<!-- tables of tools/augmentation_study.py -->", "<!-- end of tables -->")
STUDIES = {
    "mnist": (),
    "animals": (),
    "emoji": ("--leave-out", "Component", "--leave-out", "People_Body"),
    "avatars": ("--attributes", "smiling,glasses,hat,long_hair"),
    "solar": (
        "--leave-out", "defect_0.33", "--leave-out", "defect_0.67", "--imbalance", "defect_1.00=5",
    ),
}  # fmt: skip
"""Options of each set beside those of all."""


def run(sets: Path, out: Path, names: list[str], more: list[str]) -> None:
    """The studies one after the other; what is there already takes no time."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        command = [
            sys.executable,
            "-m",
            "fastgan",
            "augment",
            str(sets / f"{name}.fgd"),
            "-o",
            str(out / name),
        ]
        command += ["--per-class", "20,50", *STUDIES[name], *more]
        print("$", " ".join(command[1:]), flush=True)
        done = subprocess.run(command, check=False).returncode
        if done == 130:  # Ctrl-C is for all of it
            sys.exit(done)


def table(report: Mapping[str, Any]) -> str:
    """Each scenario of a report: its verdict, and a row an arm, in Markdown."""
    parts = []
    for found in report["scenarios"]:
        parts.append(f"**{found['name']}** ({len(found['seeds'])} seeds): {found['verdict']['sentence']}")
        parts.append(f"Classical augmentation: {found['choices']['recipe']}.\n")
        parts.append(
            f"| arm | {found['measure_title']} | macro-F1 | gap | ECE | over the best without | p (Holm) |"
        )
        parts.append("| --- | --- | --- | --- | --- | --- | --- |")
        for arm in found["arms"]:
            over = arm["over_best"]
            none = "none passed the filter" if arm["synthetic"] and not arm["synthetic_images"] else ""
            against = f"{span(over, sign='+')} | {over['p_holm']:.2g}" if over else f"{none} | "
            mark = "**" if arm["name"] in (found["verdict"]["arm"], found["verdict"]["best_without"]) else ""
            values = " | ".join(
                f"{100 * arm[key]['mean']:.1f}" for key in ("macro_f1", "gap", "calibration_error")
            )
            parts.append(f"| {mark}{arm['name']}{mark} | {span(arm['main'])} | {values} | {against} |")
        parts.append("")
    return "\n".join(parts)


def span(found: Mapping[str, Any], sign: str = "") -> str:
    """`91.3 [90.1, 92.5]`, in percent."""
    low, high = found["interval"]
    if not sign:  # a share: no interval of it ends below 0 or above 1
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{100 * found['mean']:{sign}.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def overview(reports: Mapping[str, Any]) -> str:
    """A row a scenario: the verdict, and the arms that it is about."""
    lines = [
        "| data | training images | verdict | best without | with synthetic images | over it | only synthetic |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name, report in reports.items():
        for found in report["scenarios"]:
            arms = {arm["name"]: arm for arm in found["arms"]}
            verdict = found["verdict"]
            best, judged = arms[verdict["best_without"]], arms.get(verdict["arm"])
            cells = [name, found["name"], verdict["outcome"], f"{best['name']}: {span(best['main'])}"]
            cells += (
                [f"{judged['name']}: {span(judged['main'])}", span(judged["over_best"], "+")]
                if judged
                else ["", ""]
            )
            only = arms.get("synthetic only")
            lines.append(f"| {' | '.join([*cells, span(only['main']) if only else ''])} |")
    return "\n".join(lines)


def tables(out: Path) -> str:
    """Of every study that is there, with what it took."""
    reports = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(out.glob("*/report.json"))
    }
    parts = [overview(reports) + "\n"]
    for name, report in reports.items():
        images = " / ".join(f"{n:,}" for n in report["data"]["images"].values())
        gans = sum(gan["seconds"] for gan in report["gans"]) / 60
        parts.append(f"### {name}\n")
        parts.append(
            f"{len(report['data']['names'])} {report['data']['kind']}, {report['data']['side']} px; training pool, "
            f"validation, test: {images}. {len(report['cells'])} classifiers in "
            f"{report['classifier_seconds'] / 60:.0f} minutes, {len(report['gans'])} GANs in {gans:.0f}.\n"
        )
        parts.append(table(report))
    return "\n".join(parts)


def write_tables(path: Path, text: str) -> None:
    """Replace what stands between the MARKS in `path`."""
    before, _, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Run the studies, or print their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="what", required=True)
    running = parts.add_parser(
        "run", help="other options go to fastgan augment, as in --gan-budget 4m --dry-run"
    )
    running.add_argument("sets", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--only", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    drawing = parts.add_parser("table")
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--write", type=Path, help="the Markdown file that has the tables")
    arguments, more = parser.parse_known_args()
    if arguments.what == "table" and arguments.write:
        write_tables(arguments.write, tables(arguments.out))
    elif arguments.what == "table":
        print(tables(arguments.out))
    else:
        run(arguments.sets, arguments.out, arguments.only, more)


if __name__ == "__main__":
    main()
