"""The exceptions a user can meet.

Each message is one sentence that says what is wrong, where (file, key, index) and how to mend it.
The command line prints it without a traceback and exits with its class's `exit_code`.
"""


class FastganError(Exception):
    """Something the user can mend; every other exception is a bug of ours."""

    exit_code = 2
    """What the command line ends with."""


class ConfigError(FastganError):
    """A setting is unknown, has the wrong type, or has an impossible value."""


class ArgumentError(ConfigError):
    """Arguments of a call that do not go together, or one that is missing."""


class DocumentError(FastganError, ValueError):
    """A JSON or TOML text is none, or says something of another type than it should."""


class MemoryLimitError(FastganError, MemoryError):
    """Something would take more memory than there is."""


class DataError(FastganError):
    """A source of images cannot be read, or holds nothing that can be trained on."""


class CheckpointError(FastganError):
    """A run, checkpoint or exported model is missing, broken, or of another kind."""


class HubError(CheckpointError):
    """A model is not on the Hugging Face Hub, cannot be fetched from there, or not be put there."""


class OutputError(FastganError):
    """A result cannot be written where it was asked for."""


class IncompleteError(OutputError):
    """A set is not all there yet: the command that made it makes the rest."""

    exit_code = 3


class DamageError(OutputError):
    """What was written once is not what is there now."""

    exit_code = 4


class MetricError(FastganError):
    """A metric cannot be computed on these images, or not with this extractor, or not compared with that card."""
