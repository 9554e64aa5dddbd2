"""`attributes.csv`: a header, then a line for each image.

One column is the file's name, the first if in doubt; the others are attributes named by the header: 0, 1 or any number,
true or false, and nothing where it is unknown.
"""

import codecs
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from fastgan.data.annotations import Said, add, as_number, brief, check_names, with_attributes
from fastgan.data.decode import suffixes
from fastgan.data.names import Lookup, folder_of
from fastgan.data.sources import Images
from fastgan.errors import DataError
from fastgan.text import shown


def apply(images: Images, path: Path, texts: Mapping[str, bytes], lookup: Lookup) -> Images:
    """`images` with the attributes of `texts`: name of an attributes.csv in `path` -> its bytes."""
    tables: dict[str, tuple[str, ...]] = {}
    said: dict[int, Said] = {}
    for document, text in texts.items():
        folder, where = folder_of(document), f"{path / document}"
        tables[where], table = read_table(where, text, lambda name, f=folder: lookup.row(name, f))  # type: ignore[misc]
        add(said, where, folder, table, lookup)
    first, names = next(iter(tables.items()))
    for where, other in tables.items():
        if other != names:
            raise DataError(
                f"{where} has other columns than {first}: name the same ones in both, in one order"
            )
    return with_attributes(images, first, names, {row: one.value for row, one in said.items()})


def read_table(
    where: str, content: bytes, row_of: Callable[[str], int | None]
) -> tuple[tuple[str, ...], dict[str, tuple[float, ...]]]:
    """attributes.csv -> attribute names, and file name -> values (NaN: unknown). Raises DataError.

    Columns are separated by commas, semicolons or tabs. row_of: whether a name is an image's.
    """
    text = text_of(where, content)
    delimiter = delimiter_of(text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    table: dict[str, tuple[float, ...]] = {}
    header: list[str] = []
    try:
        for cells in lines:
            here = f"{where} line {lines.line_num}"
            if not any(cells) or (not header and cells[0].casefold().startswith("sep=")):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(where, header, delimiter, row_of)
                column = None
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{here} has {len(cells)} columns and the header has {len(header)}: give one value a column"
                )
            if column is None:
                column, kept = _columns(where, header, cells, row_of)
                names = tuple(header[index] for index in kept)
            name = cells[column].strip()
            if name in table:
                raise DataError(f"{here} names {brief(name)} a second time: remove one of the two lines")
            table[name] = tuple(_value(here, header[index], cells[index], delimiter) for index in kept)
    except csv.Error as error:
        raise DataError(f"{where} line {lines.line_num} is no CSV ({error}): save it again") from error
    if not header:
        check_names(where, ())
    if not table:
        check_names(where, header[1:])
        raise DataError(f"{where} names no images: add a line for each, or remove the file")
    return names, table


def delimiter_of(text: str) -> str:
    """What separates the columns: the one that makes most of the first line with words."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    if line.casefold().startswith("sep=") and len(line.strip()) == 5 and line[4] in _DELIMITERS + "|: ":
        return line[4]  # Excel's own word on it

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:  # said, with its line, by who reads the whole
            return 0

    return max(_DELIMITERS, key=columns)


_DELIMITERS = ",;\t"


def _check_header(where: str, header: list[str], delimiter: str, row_of: Callable[[str], int | None]) -> None:
    """DataError where the first line is an image's, so that the header is missing."""
    image = next((cell for cell in header if row_of(cell) is not None or _has_suffix(cell)), None)
    if image is None:
        return
    columns = ["file" if cell == image else f"attribute{index}" for index, cell in enumerate(header)]
    between = "<tab>" if delimiter == "\t" else delimiter
    if len(columns) == 1:
        columns.append("attribute1")
    raise DataError(
        f"{where} line 1 is that of an image ({brief(image)}) and should name the columns: put a line such as "
        f"{between.join(columns)} before it"
    )


def _columns(
    where: str, header: Sequence[str], cells: Sequence[str], row_of: Callable[[str], int | None]
) -> tuple[int, list[int]]:
    """The column of file names, by the first line of values, and the columns of attributes.

    A column without a name before the file's is the numbers of the lines, as pandas writes them.
    """
    column = next((index for index, cell in enumerate(cells) if row_of(cell.strip()) is not None), 0)
    numbers = {"", "unnamed: 0"} if column else set()
    kept = [i for i, name in enumerate(header) if i != column and not (i == 0 and name.casefold() in numbers)]
    check_names(where, [header[index] for index in kept])
    return column, kept


def _value(here: str, name: str, cell: str, delimiter: str) -> float:
    text = cell.strip()
    value = as_number(text.replace(",", ".") if delimiter != "," and text.count(",") == 1 else text)
    if value is None:
        raise DataError(
            f"{here}: {brief(name)} is {shown(repr(text[:40]))}: use 0, 1 or a number, and nothing where it is unknown"
        )
    return value


def _has_suffix(text: str) -> bool:
    return PurePosixPath(text.strip()).suffix.lower() in suffixes()


def text_of(where: str, content: bytes) -> str:
    """The text of a document. Raises DataError where it is not UTF-8 (or UTF-16 that says so)."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode Text"
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text ({error}): save it as UTF-8") from error
