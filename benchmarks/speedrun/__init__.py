"""The best pictures per minute: every contender on the same images, for the same CPU time, scored by the same code.

    python -m benchmarks.speedrun --out DIR [--only avatars/4/small/0] [--jobs 2]     run what is missing
    python -m benchmarks.speedrun.page --out DIR                                      docs/quality.md from it

A budget is CPU time of one core (`recorder` says how it is counted), so that two runs go side by side on two cores and
another load on the machine does not change the result much.
"""
