"""One small valid example of every data set that fastgan reads, made in a moment. Each fills an empty folder."""

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.images import encoded, noise
from tests.data.test_cifar import archived
from tests.data.test_cifar import files as cifar_files
from tests.data.test_idx import mnist

SIDE = 16
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PNG", "PNG", "PNG", "PPM")
_SUFFIX = {"JPEG": "jpg", "PPM": "ppm"}


SETTINGS = """\
[model]
name = "dcgan"
width = 4
z_dim = 8
norm = "none"

[loss]
name = "hinge"
penalty = "r1"
penalty_weight = 5.0

[data]
mirror = true
rotate = 5.0

[train]
batch = 8
budget = "16img"
precision = "fp32"
grid_images = 4
ema_kimg = [10, 1]
augment = "none"
checkpoint_every = "1m"
"""


def pictures(count: int = 10) -> dict[str, bytes]:
    """Images of many kinds in two class folders: name -> file."""
    made = {}
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        array = noise(SIDE + index % 3, SIDE, seed=index)
        image = Image.fromarray(array)
        options: dict[str, object] = {}
        if kind == "JPEG":
            exif = Image.Exif()
            exif[0x0112], exif[0x0131], exif[0x011A] = 6, "a camera", 72.0
            options = {"exif": exif, "quality": 90}
        elif kind == "PNG" and index % 10 == 6:
            image = image.convert("P", palette=Image.Palette.ADAPTIVE)
        elif kind == "PNG" and index % 10 == 7:
            image = Image.fromarray(array[..., 0].astype(np.uint16) * 200)
        elif kind == "PNG" and index % 10 == 8:
            image.putalpha(Image.fromarray(array[..., 1]))
        name = f"{('cat', 'dog')[index % 2]}/{index:02d}.{_SUFFIX.get(kind, kind.lower())}"
        made[name] = encoded(image, kind, **options).getvalue()
    return made


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def plain(count: int = 8) -> dict[str, bytes]:
    """PNG files beside each other, without classes."""
    return {f"{index}.png": encoded(noise(SIDE, SIDE, seed=index)).getvalue() for index in range(count)}


def labels(names: list[str], kind: str) -> bytes:
    """dataset.json with class numbers, or attribute vectors."""
    given = {"class": lambda i: i % 3, "vector": lambda i: [i % 2, i / 10, 1]}[kind]
    return json.dumps({"labels": [[name, given(i)] for i, name in enumerate(names)]}).encode()


def table(names: list[str], header: str = "file") -> bytes:
    """attributes.csv, or metadata.csv by another header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([header, "smiling", "age"])
    writer.writerows([[name, i % 2, "" if i == 3 else round(i / 9, 2)] for i, name in enumerate(names)])
    return text.getvalue().encode()


def folder(at: Path) -> None:
    _write(at / "photos", pictures())


def squares(at: Path) -> None:
    """All of one size, as `fastgan eval` wants them."""
    _write(at / "photos", plain(18))


def folder_json(at: Path) -> None:
    made = plain()
    _write(at / "photos", made | {"dataset.json": labels(list(made), "class")})


def folder_vectors(at: Path) -> None:
    made = plain()
    _write(at / "photos", made | {"dataset.json": labels(list(made), "vector")})


def folder_csv(at: Path) -> None:
    made = plain()
    _write(at / "photos", made | {"attributes.csv": table(list(made))})


def folder_metadata(at: Path) -> None:
    made = plain()
    lines = ["file_name,label", *(f"{name},{('cat', 'dog')[i % 2]}" for i, name in enumerate(made))]
    _write(at / "photos", made | {"metadata.csv": "\n".join(lines).encode() + b"\n"})


def zipped(at: Path) -> None:
    with zipfile.ZipFile(at / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pictures().items():
            archive.writestr(f"photos/{name}", content)


def zipped_json(at: Path) -> None:
    made = {f"00000/img{index:08d}.png": content for index, content in enumerate(plain().values())}
    with zipfile.ZipFile(at / "photos.zip", "w") as archive:
        for name, content in (made | {"dataset.json": labels(list(made), "class")}).items():
            archive.writestr(name, content)


def _tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def tarred(at: Path) -> None:
    _tar(at / "photos.tar", pictures())


def tarred_gz(at: Path) -> None:
    _tar(at / "photos.tar.gz", pictures(), "w:gz")


def webdataset(at: Path) -> None:
    (at / "shards").mkdir()
    images = list(plain(12).values())
    for shard in range(2):
        files = {}
        for index in range(shard * 6, shard * 6 + 6):
            files[f"{index:05d}.png"] = images[index]
            files[f"{index:05d}.cls"] = str(index % 3).encode()
            about = {"class": f"class{index % 3}", "attributes": {"age": index / 10, "red": None}}
            files[f"{index:05d}.json"] = json.dumps(about).encode()
        _tar(at / "shards" / f"set-{shard:05d}.tar", files)


def cifar_python(at: Path) -> None:
    _write(at / "cifar-10-batches-py", cifar_files("cifar-10-batches-py"))


def cifar_binary(at: Path) -> None:
    _write(at / "cifar-100-binary", cifar_files("cifar-100-binary"))


def cifar_archive(at: Path) -> None:
    archived(cifar_files("cifar-10-batches-py"), "cifar-10-batches-py", at / "cifar-10-python.tar.gz")


def idx(at: Path) -> None:
    mnist(at / "mnist")


def idx_plain(at: Path) -> None:
    mnist(at / "mnist", zipped=False)


def celeba(at: Path) -> None:
    from tests.data.test_celeba import attribute_lines, names, partition_lines

    images = {
        f"img_align_celeba/{name}": encoded(noise(22, 18, seed=i), "JPEG").getvalue()
        for i, name in enumerate(names())
    }
    _write(at / "celeba", images)
    (at / "celeba" / "list_attr_celeba.txt").write_text("\n".join(attribute_lines()) + "\n")
    (at / "celeba" / "list_eval_partition.txt").write_text("\n".join(partition_lines()) + "\n")


def parquet(at: Path) -> None:
    from tests.data.test_parquet import table as write

    (at / "hub").mkdir()
    for part in range(2):
        rows = range(part * 6, part * 6 + 6)
        write(
            at / "hub" / f"data-{part:05d}-of-00002.parquet",
            rows,
            names=("cat", "dog"),
            label=[i % 2 for i in rows],
            smiling=[i % 3 == 0 for i in rows],
        )


def packed(at: Path) -> None:
    """A packed set with classes and attributes, by fastgan itself."""
    from fastgan.data import open_dataset
    from fastgan.data.packed import write

    source = at / "source"
    made = pictures(24)
    _write(source, made | {"attributes.csv": table(list(made))})
    write(at / "set.fgd", open_dataset(source, resolution=SIDE))
    for path in sorted(source.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    source.rmdir()


def settings(at: Path) -> None:
    """A file of settings, and something to train on."""
    packed(at)
    (at / "mine.toml").write_text(SETTINGS)
