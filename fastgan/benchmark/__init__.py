"""What `fastgan bench` measures: ops, a training step, and inference, each against its baseline.

`timing` is the one clock everybody uses; `ops`, `train` and `inference` each answer one question and return
rows; `report` puts the rows, the machine and the versions into JSON and tables.
"""
