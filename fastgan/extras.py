"""The optional packages: what each extra of pyproject.toml is for, and a line that installs it anywhere.

The line names the packages, not `fastgan[...]`, so that it also works beside a source checkout. Standard library only.
"""

from importlib.metadata import PackageNotFoundError, version

EXTRAS = {
    "demo": ("fastgan data avatars, which make demo trains on", ("python-avatars>=1.4.1", "resvg-py>=0.1.6")),
    "heif": ("reading HEIC and HEIF, the photos of iPhones", ("pillow-heif>=0.22",)),
    "hub": ("models on the Hugging Face Hub, hf://user/name", ("huggingface_hub>=0.30",)),
    "notebook": ("progress bars in notebooks", ("ipywidgets>=8",)),
    "parquet": ("reading parquet files, and generate --format parquet", ("pyarrow>=15",)),
    "tune": ("fastgan tune, a search for settings", ("optuna>=4.9",)),
    "video": ("MP4 of generate --interpolate", ("av>=12",)),
}


def install_line(extra: str) -> str:
    """A command that installs the packages of `extra`."""
    return "pip install " + " ".join(f"'{package}'" for package in EXTRAS[extra][1])


def missing(extra: str) -> tuple[str, ...]:
    """Names of the packages of `extra` that are not installed."""
    return tuple(name for name in map(_name, EXTRAS[extra][1]) if not _installed(name))


def _name(requirement: str) -> str:
    return requirement.partition(">=")[0]


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
