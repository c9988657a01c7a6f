"""Map the columns of a file to PyCoder's."""

from typing import Any, NamedTuple

from pycoder.accounts.transfer.records import COLUMNS
from pycoder.errors import InvalidInput

IGNORED = frozenset({"last_login", "is_staff", "is_superuser", "groups", "user_permissions"})


class ColumnMap(NamedTuple):
    """Which column of a file each of PyCoder's columns is read from.

    ``sources`` lists those of another name, and those that are not read with an empty one.
    """

    sources: dict[str, str] = {}
    ignore_unknown: bool = False

    def source_of(self, column: str) -> str:
        """Return the column of the file, or an empty string if it is not read."""
        return self.sources.get(column, column)

    def apply(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values by PyCoder's columns, without empty and ignored ones."""
        taken = {name: values.get(source) for name, source in self.sources.items() if source}
        read = dict.fromkeys(self.sources) | taken
        renamed = set(self.sources.values()) - COLUMNS
        return {
            name: value
            for name, value in (values | read).items()
            if value is not None
            and not (isinstance(value, str) and not value.strip())
            and name not in IGNORED
            and name not in renamed
            and (not self.ignore_unknown or name in COLUMNS)
        }

    def check_header(self, header: list[str], needed: set[str]) -> None:
        """Raise ``InvalidInput`` for a header that lacks a column, or has one too many."""
        wanted = {self.source_of(name) for name in needed} | set(self.sources.values())
        if missing := wanted - set(header) - {""}:
            raise InvalidInput({"header": [f"Missing columns: {', '.join(sorted(missing))}."]})
        if len(header) != len(set(header)):
            raise InvalidInput({"header": ["A column name is repeated."]})
        known = COLUMNS | IGNORED | set(self.sources.values())
        if (unknown := set(header) - known) and not self.ignore_unknown:
            names = ", ".join(map(ascii, sorted(unknown)))
            raise InvalidInput({"header": [f"Unknown columns: {names}."]})


def parse_column_map(text: str, *, ignore_unknown: bool) -> ColumnMap:
    """Parse a map such as ``email=mail,id=``. Raises ``InvalidInput``."""
    sources: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, equals, source = (part.strip() for part in pair.partition("="))
        if name not in COLUMNS or not equals or name in sources:
            names = ", ".join(sorted(COLUMNS))
            raise InvalidInput({"map": [f"Each column is given once, and is one of {names}."]})
        sources[name] = source
    return ColumnMap(sources, ignore_unknown)
