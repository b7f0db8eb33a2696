"""Texts of a file, without anything else: one a line, or a column of a table."""

import csv
import io
from pathlib import Path

from plumkeras.data_pipelines.schema.validation import DataError, listing

TEXT_COLUMNS = ("text", "raw_text")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_texts(path, column=None):
    """The texts of a file, in order.

    Args:
        path: a .txt file, one text a line; or a .csv or .tsv file whose first line names its columns.
        column: str or None. Name of the column of the texts. Defaults to `text`, or else `raw_text`.

    Returns:
        The texts, a list of str; their ids, a list of str; and what the ids are: `"line"` numbers, `"row"` numbers, or
        the values of the column `"id"`. Numbers count from 1.

    Raises:
        DataError: the file cannot be read, is no UTF-8, has no such column or no row.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".txt", *_DELIMITERS):
        raise DataError(f"{path}: a file of texts is named .txt (a text a line), .csv or .tsv (a column of texts)")
    try:
        text = decode(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    if suffix in _DELIMITERS:
        return _read_table(path, text, _DELIMITERS[suffix], column)
    if column is not None:
        raise DataError(f"{path}: a .txt file has no columns; leave out the column {column!r}, or name a .csv or .tsv")
    found = lines(text)
    if not found:
        raise DataError(f"{path}: holds no text")
    return found, _numbers(found), "line"


def decode(content, where):
    """The text of bytes in UTF-8, without its byte order mark. Raises `DataError`, naming the line, for other bytes."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}: line {number} is not UTF-8 (byte {error.object[error.start]:#04x}); save the text as UTF-8"
        ) from None


def lines(text):
    """The lines of a text, whatever they end in; the last one may lack its end."""
    found = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return found if found[-1] else found[:-1]


def _read_table(path, text, delimiter, column):
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is damaged: {error}") from None
    for number, row in rows:
        if len(row) != len(names):
            raise DataError(f"{path}: line {number} has {len(row)} columns, the first line {len(names)}")
    known = {name.lower(): at for at, name in reversed(list(enumerate(names)))}
    wanted = TEXT_COLUMNS if column is None else (column,)
    at = next((known[name.strip().lower()] for name in wanted if name.strip().lower() in known), None)
    if at is None:
        raise DataError(
            f"{path}: has no column {' or '.join(map(repr, wanted))}; it has {listing(name[:40] for name in names)}; "
            "name that of the texts, on the command line by --text-column"
        )
    if not rows:
        raise DataError(f"{path}: has no row below the names of its columns")
    texts = [row[at] for _, row in rows]
    if "id" in known:
        return texts, [row[known["id"]] for _, row in rows], "id"
    return texts, _numbers(texts), "row"


def _numbers(texts):
    return [str(number) for number in range(1, len(texts) + 1)]
