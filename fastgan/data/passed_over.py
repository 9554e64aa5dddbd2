"""What lies in a source and is not read: counted by suffix, and said, with how to have it read."""

import re
from collections.abc import Iterable, Mapping

from fastgan import extras

_HEIF = ".heic .heif .heics .heifs .hif"
_RAW = (
    ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .orf .rw2 .pef .srw .x3f .raw .3fr .iiq .erf .mef .mos .mrw "
    ".kdc .dcr .rwl"
)
_LAYERED = ".psd .psb .xcf .kra .afphoto .ai .eps .ps .pdf .svg .svgz .cdr .wmf .emf"
_OTHER = ".avif .jxl .jpe2 .fits .fit .exr .hdr .dcm .nii .npy"
_VIDEO = ".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .wmv .3gp"
_ARCHIVES = ".zip .tar .gz .tgz .bz2 .xz .zst .7z .rar"
_HINTS = {
    _HEIF: f"{extras.install_line('heif')} reads them",
    _RAW: "raw photos are not read: export them as JPEG or TIFF",
    _LAYERED: "not read: export them as PNG",
    _OTHER: "not read here: convert them to PNG",
    _VIDEO: "videos are not read: take frames out of them",
    _ARCHIVES: "archives are read one by one, each given as the source",
    ".csv .tsv": "tables that are read are called attributes.csv or metadata.csv",
    "": "what an image is, the suffix tells: rename them",
}
_HINT_OF = {suffix: hint for suffixes, hint in _HINTS.items() for suffix in suffixes.split() or [""]}
_PICTURES = {*f"{_HEIF} {_RAW} {_LAYERED} {_OTHER}".split(), ""}
_SHOWN = 8
_ONLY, _PASSED = "ONLY ", "passed over: "
_MOST = 9  # times as many files as images: nearly all


def suffix_of(name: str) -> str:
    """`.heic` of a name; empty where it has none that could be one."""
    found = re.search(r"[^/](\.[a-z0-9]{1,8})$", name.lower())
    return found[1] if found else ""


def count(names: Iterable[str]) -> dict[str, int]:
    """Suffix -> how many."""
    counts: dict[str, int] = {}
    for name in names:
        suffix = suffix_of(name)
        counts[suffix] = counts.get(suffix, 0) + 1
    return counts


def told(counts: Mapping[str, int], images: int) -> str:
    """One sentence (without its stop) of what was passed over beside `images` that were read; empty for nothing."""
    if not counts:
        return ""
    listed = sorted(counts.items(), key=lambda item: (item[0] not in _PICTURES, -item[1], item[0]))
    said: set[str] = set()
    parts = []
    shown = _SHOWN + (len(listed) == _SHOWN + 1)  # a single one more is named too
    for suffix, number in listed[:shown]:
        hint = _HINT_OF.get(suffix, "")
        parts.append(
            f"{number:,} {suffix or 'without a suffix'}" + (f" ({hint})" if hint and hint not in said else "")
        )
        said.add(hint)
    if rest := listed[shown:]:
        parts.append(f"{sum(number for _, number in rest):,} of {len(rest)} other kinds")
    begin = (
        f"{_ONLY}{images:,} of {images + sum(counts.values()):,} files are read, "
        if is_most(counts, images)
        else ""
    )
    return f"{begin}{_PASSED}{', '.join(parts)}"


def warnings(notes: Iterable[str]) -> list[str]:
    """Of the notes of a set those that say that most of what there was is missing in it."""
    return [note for note in notes if note.startswith(_ONLY)]


def all_notes(notes: Iterable[str]) -> list[str]:
    """Of the notes of a set those that `told` wrote."""
    return [note for note in notes if note.startswith((_ONLY, _PASSED))]


def is_most(counts: Mapping[str, int], images: int) -> bool:
    """Whether more pictures were passed over than read, or nearly all files were."""
    pictures = sum(number for suffix, number in counts.items() if suffix in _PICTURES)
    return pictures > images or sum(counts.values()) >= _MOST * max(images, 1)
