"""``pseg init``: a project folder to fill in."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import SettingsError
from pseg.commands.options import AsJson
from pseg.console import answer, print_json, say


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to make; its name becomes the project's.")],
    as_json: AsJson = False,
) -> None:
    """Make a project folder with a commented project.toml to fill in. Nothing that exists is overwritten.

    Example: pseg init spring-sale
    """
    file = folder / "project.toml"
    name = folder.resolve().name
    if file.exists():
        raise SettingsError("there is a project already", where=str(file), fix="choose another folder")
    if not (2 <= len(name) <= 30 and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)):
        raise SettingsError(
            f"{name!r} can't be a project's name",
            where=str(folder),
            why="buckets, roles and pipelines are named after it; nothing was made",
            fix="2 to 30 lower-case letters, digits and single hyphens, a letter first",
        )
    (folder / "data").mkdir(parents=True, exist_ok=True)
    template = files("pseg").joinpath("project_template.toml").read_text(encoding="utf-8")
    file.write_text(template.replace("PROJECT_NAME", name), encoding="utf-8")
    if as_json:
        print_json("init", {"project": str(file)})
        return
    answer.print(str(file), markup=False)
    say(
        f"Next  put your tables into {folder / 'data'}, fill in the file, then: pseg doctor {folder}; pseg run {folder}"
    )
