"""One script a question, with the published settings; `python -m benchmarks.NAME` from the root of the source."""
