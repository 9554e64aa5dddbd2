"""The demo's faces: a function of the seed, with attributes that tell what is seen."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastgan.data import Feed, avatars, packed
from fastgan.errors import DataError

pytest.importorskip("python_avatars", reason="needs the extra fastgan[demo]")
pytest.importorskip("resvg_py", reason="needs the extra fastgan[demo]")


def test_a_set_is_the_beginning_of_a_larger_one_and_touches_no_global_generator():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    few, many = avatars.render(3, size=16, seed=4), avatars.render(6, size=16, seed=4)
    assert torch.equal(few.images, many.images[:3])
    assert torch.equal(few.attributes, many.attributes[:3])
    assert few.names == ("000000", "000001", "000002")
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    other = avatars.render(3, size=16, seed=5)
    assert not any(torch.equal(a, b) for a, b in zip(few.images, other.images, strict=True))


def test_several_processes_draw_the_same(tmp_path):
    n = avatars.CHUNK + 2
    script = tmp_path / "draw.py"
    script.write_text(
        "from fastgan.data import avatars\n"
        "if __name__ == '__main__':\n"
        f"    print(avatars.render({n}, size=16, workers=2).content_hash)\n"
    )
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=_environment()
    )
    assert found.stdout.strip() == avatars.render(n, size=16).content_hash


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(avatars.__file__).parents[2])}


def test_importing_the_art_in_a_fresh_process_leaves_random_alone():
    code = (
        "import random; random.seed(1); from fastgan.data import avatars; "
        "avatars.render(1, size=8); print(random.random())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment()
    )
    assert float(found.stdout) == random.Random(1).random()


def test_attributes_are_one_part_of_each_kind_and_true_summaries():
    faces = [avatars.choose(0, index) for index in range(400)]
    names = set(avatars.attribute_names())
    assert len(names) == len(avatars.attribute_names())
    for face in faces:
        found = face.attributes()
        assert found <= names
        kinds = [name.partition("=")[0] for name in found if "=" in name]
        assert len(kinds) == len(set(kinds))
        assert {"skin_color", "top", "eyes", "mouth", "accessory", "facial_hair", "background"} <= set(kinds)
        assert not {"glasses", "sunglasses"} <= found
        assert ("accessory=none" in found) == (not found & {"glasses", "sunglasses"})
        assert ("facial_hair=none" in found) == (not found & {"beard", "moustache"})
        if "top=hat_hijab" in found:
            assert "facial_hair=none" in found
            assert "hair_color" not in kinds
    shares = {name: np.mean([name in face.attributes() for face in faces]) for name in avatars._SUMMARIES}
    assert all(0.01 < share < 0.6 for share in shares.values()), shares


def test_attributes_show_in_the_picture():
    """A face drawn with one part changed differs; the background is the colour that the attribute names."""
    face = avatars.choose(0, 0)
    corner = avatars.draw(face, 32)[0, 0]
    wanted = bytes.fromhex(avatars.BACKGROUNDS[face.parts["background"]][1:])
    np.testing.assert_allclose(corner.astype(int), list(wanted), atol=1)
    for index in range(40):
        face = avatars.choose(3, index)
        for kind in ("accessory", "facial_hair"):
            if face.parts[kind] != "none":
                without = avatars.Face(
                    face.parts, {**face.arguments, kind: avatars._options()[kind]["none"]}, face.background
                )
                assert (avatars.draw(face, 32) != avatars.draw(without, 32)).any(), (face.parts["top"], kind)


def test_faces_fill_the_frame():
    images = avatars.render(24, size=32).images.float()  # [N, H, W, C]
    background = images[:, :1, :1]
    covered = ((images - background).abs().sum(3) > 30).float().mean((1, 2))
    assert covered.min() > 0.2
    assert 0.5 < covered.mean() < 0.75
    assert covered.max() < 0.95


def test_a_packed_set_of_them_feeds_a_training(tmp_path, device):
    dataset = avatars.render(8, size=16)
    packed.write(tmp_path / "a.fgd", dataset)
    opened = packed.verify(tmp_path / "a.fgd")
    assert opened.attribute_names == dataset.attribute_names
    assert opened.provenance["seed"] == 0
    assert Feed(opened, device=device).batch(0, 4)[0].shape == (4, 3, 16, 16)


def test_nonsense_and_a_missing_package_are_sentences(monkeypatch):
    with pytest.raises(DataError, match="at least 1"):
        avatars.render(0)
    avatars._packages.cache_clear()
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    try:
        with pytest.raises(DataError, match=r"pip install 'python-avatars"):
            avatars.render(1)
    finally:
        avatars._packages.cache_clear()
