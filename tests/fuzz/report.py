"""The outcomes as lines and tables."""

from collections import Counter
from collections.abc import Sequence

from fastgan.text import quoted, shown
from tests.fuzz.case import FAULTS, FINE, Outcome


def line(outcome: Outcome, seed: int, full: bool = False) -> str:
    """One fault, with the command that gives it again."""
    replay = f"python -m tests.fuzz --seed {seed} --reader {quoted(outcome.reader)} --case {outcome.number}"
    text = f"{outcome.came.upper()}: {outcome.why}\n    {outcome.file}: {outcome.kind}, {outcome.text}"
    text += f"\n    {outcome.command}\n    {replay}"
    if full:
        text += f"\n    exit code {outcome.code}, {outcome.seconds} s\n{outcome.err}"
    return "\n".join(shown(part) for part in text.splitlines())


def tables(outcomes: Sequence[Outcome]) -> str:
    """Outcomes by reader, and by mutation, in Markdown."""
    columns = (*FINE, *FAULTS)
    parts = []
    for title, key in (("reader", lambda o: o.reader), ("mutation", lambda o: o.kind)):
        groups = sorted({key(o) for o in outcomes})
        counts = {group: Counter(o.came for o in outcomes if key(o) == group) for group in groups}
        counts["all"] = Counter(o.came for o in outcomes)
        used = [
            c
            for c in columns
            if c in FINE or counts["all"][c] or c in ("traceback", "hang", "escape", "wrong result")
        ]
        rows = [f"| {title} | cases | {' | '.join(used)} |", f"| --- |{' ---: |' * (len(used) + 1)}"]
        for group, count in counts.items():
            cells = [str(count[name]) if count[name] or group == "all" else "" for name in used]
            rows.append(f"| {group or '-'} | {count.total()} | {' | '.join(cells)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)
