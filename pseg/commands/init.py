"""``pseg init``: a project folder to fill in."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson
from pseg.console import answer, fail, print_json


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make; its name becomes the project's.")],
    as_json: AsJson = False,
) -> None:
    """Make a project folder with a commented project.toml to fill in. Nothing that exists is overwritten.

    Example: pseg init spring-sale
    """
    file = folder / "project.toml"
    if file.exists():
        fail(SettingsError("there is a project already", where=str(file), fix="choose another folder"), "init", as_json)
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,29}", folder.name):
        fail(
            SettingsError(
                f"{folder.name!r} can't be a project's name", fix="lower-case letters, digits, hyphens; 2 to 30"
            ),
            "init",
            as_json,
        )
    (folder / "data").mkdir(parents=True, exist_ok=True)
    template = files("pseg").joinpath("project_template.toml").read_text(encoding="utf-8")
    file.write_text(template.replace("PROJECT_NAME", folder.name), encoding="utf-8")
    if as_json:
        print_json("init", {"project": str(file)})
    else:
        answer.print(
            f"{file} written. Next  put your tables into {folder / 'data'}, fill it in, then: pseg run {folder}"
        )
