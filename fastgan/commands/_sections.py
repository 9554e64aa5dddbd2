"""A command whose help has its options in sections."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class Sectioned(click.Command):
    """`sections` are titles and the names of the parameters below each; the rest comes last, as Options."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every section, in the order of the declarations."""
        named = {name: title for title, names in self._sections.items() for name in names}
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in (*self._sections, "Options")}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                rows[named.get(parameter.name or "", "Options")].append(record)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
