"""One self-contained page about a training run: curves, samples over time, warnings, settings. See `page.render`."""
