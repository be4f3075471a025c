"""`incoming config`: the settings in effect, and where each of them comes from."""

from __future__ import annotations

import json
import sys

import click

from incoming.commands.setting_options import given, setting_options, shown
from incoming.core.errors import BadSetting
from incoming.runtime import output
from incoming.settings import load as tables
from incoming.settings.load import HIDDEN, SETTINGS


@click.command()
@click.option("--changed", is_flag=True, help="Show only settings that differ from their default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@setting_options
def config(config_file: str | None, changed: bool, as_json: bool, **options: str | None) -> None:
    """Show the settings in effect, and where each comes from.

    It takes the options of `serve` and starts nothing. It shows what `incoming serve` would use with these
    options, this file and this environment.
    """
    try:
        found = given(config_file, options)
        in_force = tables.combined(found)
    except BadSetting as exc:
        sys.exit(str(exc))
    rows = []
    for setting in SETTINGS:
        _, source = found.get(setting.name, (None, "default"))
        value = getattr(in_force, setting.name)
        if source == tables.IN_FILE:
            source = str(config_file)
        if source != "default" or not changed:
            rows.append((setting, setting.public(value), source))
    if as_json:
        click.echo(json.dumps({s.name: {"value": value, "source": source} for s, value, source in rows}))
    else:
        for setting, value, source in rows:
            text = HIDDEN if value == HIDDEN else shown(setting, value)
            click.echo(f"{setting.name:<27} {text:<24} {source}")
    output.ensure_complete()
