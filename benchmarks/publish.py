"""What every script here does with its question: measure it, write results/<name>-<device>.json, print the table."""

import re
import sys
from pathlib import Path

from fastgan.benchmark import report, suite
from fastgan.benchmark.request import Request
from fastgan.files import write_json

RESULTS = Path(__file__).parent / "results"


def slug(device: str) -> str:
    """`NVIDIA H100 80GB HBM3` -> `nvidia-h100-80gb-hbm3`."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def publish(request: Request, name: str, folder: Path = RESULTS) -> Path:
    """Measure `request` (one section) and write it; threads other than one become part of the name."""
    document = suite.run(request, progress=lambda what: print(f"\r\033[K{what}", end="", file=sys.stderr))
    print("\r\033[K", end="", file=sys.stderr)
    threads = f"-{document['threads']}threads" if document["threads"] != 1 else ""
    path = folder / f"{name}-{slug(document['device'])}{threads}.json"
    write_json(path, document)
    print(f"{path.name}: {report.describe(document)}\n")
    for section, content in document["sections"].items():
        for title, table in report.tables(section, content["rows"]):
            print(f"{title}\n\n{report.markdown(table)}\n")
    return path
