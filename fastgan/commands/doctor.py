"""`fastgan doctor`: what this machine can do, what is missing, how to mend it."""

import click

from fastgan.commands._console import styled
from fastgan.commands._document import json_option, show

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("WARN", "yellow"),
    "broken": ("BROKEN", "red"),
}


@click.command(epilog="Example: fastgan doctor --json > doctor.json")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine can do, what is missing, and how to mend it.

    Exits with 1 when something that fastgan needs is broken, with 0 otherwise.
    """
    from dataclasses import asdict

    from fastgan import doctor

    findings = doctor.examine()
    healthy = doctor.healthy(findings)
    if as_json:
        show({"healthy": healthy, "findings": [asdict(f) for f in findings]})
        ctx.exit(0 if healthy else 1)
    for finding in findings:
        mark, colour = _MARKS[finding.state]
        styled(mark.rjust(6), fg=colour, bold=finding.state != "ok")
        click.echo(f"  {finding.name.ljust(17)} {finding.text}")
        if finding.mend:
            click.echo(f"{'':25} -> {finding.mend}")
    warnings = sum(finding.state == "warning" for finding in findings)
    verdict = "fastgan is ready." if healthy else "fastgan cannot work until what is BROKEN is mended."
    click.echo(f"\n{verdict}" + (f" {warnings} to look at." if warnings else ""))
    ctx.exit(0 if healthy else 1)
