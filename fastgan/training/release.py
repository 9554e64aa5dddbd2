"""The file to share of a run: its averaged generator, with its settings in the metadata, and nothing else."""

from pathlib import Path

from fastgan.files import atomic_write, open_regular
from fastgan.training import checkpoint, weights
from fastgan.training.state_file import read_state
from fastgan.training.weights import CONDITIONS

_PIECE = 1 << 24  # bytes


def write(target: Path, source: Path, *, ema: bool | float = True) -> None:
    """Write the release of a run or a checkpoint, or a copy of one that is a release.

    ema: as in `checkpoint.load_generator`. Raises CheckpointError as that does, and OutputError for a full disk.
    """
    if checkpoint.is_release(source):
        with (
            checkpoint.saving(target, source.parent),
            atomic_write(target) as temporary,
            open_regular(source) as file,
            temporary.open("wb") as copy,
        ):
            while piece := file.read(_PIECE):
                copy.write(piece)
        return
    folder = checkpoint.locate(source)
    state, file_of_weights = read_state(folder), folder / "model.safetensors"
    prefix = f"{checkpoint.average_name(ema, state, folder)}."
    tensors = {f"g_ema.{name}": tensor for name, tensor in weights.read(file_of_weights, prefix).items()}
    tensors |= {
        f"{CONDITIONS}{name}": tensor for name, tensor in weights.read(file_of_weights, CONDITIONS).items()
    }
    checkpoint.save_release(
        target, checkpoint.Checkpoint(path=folder, model=tensors, optimizer={}, state=state)
    )
