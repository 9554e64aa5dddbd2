"""How long until the first image lies on the disk, from a cold start: whole processes, timed by the wall.

- `import torch`: a Python that imports torch and ends: what no way through torch can be below.
- `script`: the loop of a public script: import, load, one image, PIL.
- `torch fp32`, `onnx fp32`: `fastgan generate SOURCE -n 1`, of the run and of its export.

The files are in the page cache, as they are on a machine that does this often.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fastgan.benchmark.contenders import Contenders
from fastgan.benchmark.timing import Spread

FLOOR, SCRIPT = "import torch", "script"
_CODE = """
import sys
import torch
from PIL import Image
from fastgan.training.checkpoint import load_generator
generator, _ = load_generator(sys.argv[1])
generator.to(sys.argv[3])
torch.manual_seed(0)
with torch.inference_mode():
    image = generator(torch.randn(1, generator.z_dim, device=sys.argv[3]))
    pixels = (image * 127.5 + 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)[0].cpu().numpy()
Image.fromarray(pixels.squeeze()).save(sys.argv[2])
"""


def ask(model: Contenders, *, quick: bool) -> dict[str, Any]:
    """Seconds of each, the median of three (one for a look), in turns."""
    with tempfile.TemporaryDirectory(prefix="fastgan-bench-") as folder:
        commands = _commands(model, Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(1 if quick else 3):
            for name, command in commands.items():
                seconds[name].append(_wall(command))
    return {"batch": 1, "seconds": {name: Spread.of(taken).to_json() for name, taken in seconds.items()}}


def _commands(model: Contenders, folder: Path) -> dict[str, Sequence[str]]:
    python, device = sys.executable, str(model.device)
    found: dict[str, Sequence[str]] = {}
    sources = model.exported
    if model.path not in model.exported.values():
        found[FLOOR] = [python, "-c", "import torch"]
        if not model.facts.condition_dim:
            found[SCRIPT] = [python, "-c", _CODE, str(model.path), str(folder / "script.png"), device]
        sources = {"torch fp32": model.path, **dict(list(model.exported.items())[:1])}
    for k, (name, source) in enumerate(sources.items()):
        arguments = [str(source), "-n", "1", "--device", device, "-o", str(folder / f"{k}"), "--overwrite"]
        found[name] = [python, "-m", "fastgan", "generate", *arguments]
    return found


def _wall(command: Sequence[str]) -> float:
    """Seconds that a process takes with as many threads as this one; RuntimeError with its last words if it fails."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
    return seconds
