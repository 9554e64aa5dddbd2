"""A model, or a folder of images, against real images: what `fastgan.evaluate` and `fastgan eval` find out.

The numbers themselves are those of `fastgan.metrics`, which knows neither models nor folders.
"""
