"""The Markdown tables of everything under results/, for the README and docs/.

python -m benchmarks.table [FILE.json ...] > results/TABLE.md
"""

import json
import sys
from pathlib import Path

from benchmarks.publish import RESULTS
from fastgan.benchmark import report
from fastgan.benchmark.request import SECTIONS


def tables(paths: list[Path]) -> str:
    """One heading a file and section, the machine it was measured on, and its table."""
    parts = []
    for path in paths:
        document = json.loads(path.read_text(encoding="utf-8"))
        for section, content in document["sections"].items():
            if section not in SECTIONS:  # what a script asked for itself has a form of its own
                continue
            quick = " (quick)" if content["quick"] else ""
            parts.append(f"## {section}: {document['device']}{quick}\n\n{report.describe(document)}")
            for title, table in report.tables(section, content["rows"]):
                parts += [f"### {title}"] * (title != section) + [report.markdown(table)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(tables([Path(name) for name in sys.argv[1:]] or sorted(RESULTS.glob("*.json"))))
