"""HTML documents by Jinja2, in the one environment that all pages share: whatever a template is given is escaped.

A template (NAME.html.j2) lies beside the code that uses it. A page extends `pages/base.html.j2`: one file with its
style, scripts and images inside, that opens without a network. Beside Jinja2's own filters there are

- `number(spec)`: a number as Python's `format` writes it, `1,234` unless `spec` says otherwise;
- `percent(spec)`: a share in percent, one digit after the point unless `spec` says otherwise;
- `label`: a number as short as it can be, as at the axes of curves; `clock`: seconds as `4:05`;
- `svg`: a drawing of fastgan's own as markup.
"""

from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from fastgan.pages.curves import label
from fastgan.text import clock, printable

MARK = b'<meta name="generator" content="fastgan">'
"""Stands at the beginning of each page that fastgan writes, so that the next may replace it"""


def render(template: str, **values: object) -> str:
    """The HTML that a template of the package makes of `values`, as in `render("report/page.html.j2", run=run)`.

    Control and bidirectional characters become visible escapes. Raises jinja2.UndefinedError where a value that the
    template names is not there.
    """
    return printable(_environment().get_template(template).render(values))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastgan", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "percent": _percent,
        "label": label,
        "clock": clock,
        "svg": Markup,
    }
    environment.globals |= {"asset": _asset, "mark": Markup(MARK.decode())}
    return environment


def _number(value: float, spec: str = ",") -> str:
    return format(value, spec)


def _percent(share: float, spec: str = ".1f") -> str:
    return format(100 * share, spec)


def _asset(name: str) -> Markup:
    """A file of the package as it stands: style and scripts, in which nothing of others is."""
    return Markup(files("fastgan").joinpath(name).read_text(encoding="utf-8"))
