"""The frame of every page: one HTML file with its style inside, that opens without a network."""

from html import escape
from pathlib import Path

from fastgan.text import printable

MARK = b'<meta name="generator" content="fastgan">'
"""Stands at the beginning of each page that fastgan writes, so that the next may replace it"""


def document(title: str, body: str, script: str = "") -> str:
    """A whole page of the HTML `body`, with a `script` of JavaScript at its end; `title` is plain text."""
    ending = f"<script>\n{script}</script>\n" if script else ""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{MARK.decode()}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{asset("page.css")}</style>
</head>
<body>
<main>
{body}</main>
{ending}</body>
</html>
"""
    return printable(page)  # names that would reorder what stands beside them, or that no encoding knows


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
