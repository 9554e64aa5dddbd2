"""Every reader of the harness by name."""

from tests.fuzz.reader import Reader
from tests.fuzz.run_readers import RUNS
from tests.fuzz.score_readers import SCORES
from tests.fuzz.source_readers import SOURCES

READERS: dict[str, Reader] = {**SOURCES, **RUNS, **SCORES}
