"""``dta config``: are this home's files as they may be, what is in force, and what a setting means."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dta.base import settings
from dta.base.config import load_node_config, read_toml
from dta.base.errors import EXIT_USAGE, DtaError, JsonValue, NotFound, UsageError
from dta.base.home import Home
from dta.base.settings import Setting, Table, problems
from dta.cli.session import session_of
from dta.client.names import CONTACTS_FILE, load_contacts
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import backend
from dta.service import settings as agent_settings

FILES: Final[Mapping[str, type[Table]]] = {**settings.FILES, agent_settings.FILE: agent_settings.ServeFile}
"""The configuration files of a home, those of what serves it too."""


def declared(file: str) -> Iterator[Setting]:
    """Every setting of a file."""
    return settings.declared(file, FILES[file])


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a home. ``kind``: which of ``FILES`` it is."""

    path: Path
    kind: str


def files_of(home: Home) -> Iterator[Found]:
    """The configuration files that are there."""
    for name in FILES:
        if (home.path / name).exists():
            yield Found(home.path / name, name)
    for path in sorted(home.identities_dir.glob("*/*.toml")):
        if path.name in ("profile.toml", "pending.toml"):
            yield Found(path, "profile.toml")


def _files(home: Home) -> list[Found]:
    files = list(files_of(home))
    if not files:
        raise UsageError(f"there is no configuration in {home.path}", hint="run `dta init` first, or give --home")
    return files


def check(context: typer.Context) -> None:
    """Check every configuration file of this home. Exit code 2 where one is wrong; all that is wrong is said."""
    session = session_of(context)
    files = _files(session.home)
    data: list[JsonValue] = []
    lines: list[str] = []
    wrong = 0
    for file in files:
        found = _trouble(session.home, file)
        wrong += len(found)
        data.append({"file": str(file.path), "problems": [{**one} for one in found]})
        lines.append(f"{'wrong' if found else 'ok':<5}  {file.path}")
        for one in found:
            lines.append(f"       {one['key'] + ': ' if one['key'] else ''}{one['wrong']}")
            lines += [f"       hint: {one['meant']}"] if one["meant"] else []
    contacts = session.home.path / CONTACTS_FILE
    if contacts.exists():
        try:
            load_contacts(session.home)
        except DtaError as error:
            wrong += 1
            data.append({"file": str(contacts), "problems": [{"key": "", "wrong": error.message, "meant": error.hint}]})
            lines += [f"wrong  {contacts}", f"       {error.message}"]
        else:
            data.append({"file": str(contacts), "problems": []})
            lines.append(f"ok     {contacts}")
    session.show({"files": data, "is_good": not wrong}, lines)
    if wrong:
        raise typer.Exit(EXIT_USAGE)


def _trouble(home: Home, file: Found) -> list[dict[str, str]]:
    """All that is wrong with a file: ``key``, ``wrong``, ``meant`` each."""
    try:
        table = read_toml(file.path)
    except DtaError as error:
        return [{"key": "", "wrong": error.message, "meant": error.hint}]
    found = [{"key": one.key, "wrong": one.wrong, "meant": one.meant} for one in problems(FILES[file.kind], table)]
    found += _unknown_kinds(file.kind, table)
    if not found and file.kind == "node.toml":
        try:
            load_node_config(home.path)
        except DtaError as error:  # what is not in the file: the home's path
            return [{"key": "", "wrong": error.message, "meant": error.hint}]
    return found


def _unknown_kinds(file: str, table: dict[str, Any]) -> list[dict[str, str]]:
    """Kinds of keystores that no installed package offers: any may, so that the declaration takes any name."""
    found: list[dict[str, str]] = []
    for setting in declared(file):
        kind, is_set = _value(table, setting)
        if not is_set or not setting.key.endswith(".kind") or not isinstance(kind, str):
            continue
        try:
            backend(kind)
        except KeystoreError as error:
            found.append({"key": setting.key, "wrong": str(error), "meant": error.hint})
    return found


def show(context: typer.Context) -> None:
    """Show every setting in force: as it stands in a file, or its default.

    What is misspelt or missing is named without a value, which may be a PIN in the wrong place.
    """
    session = session_of(context)
    files = _files(session.home)
    data: list[JsonValue] = []
    lines: list[str] = []
    for file in files:
        table = read_toml(file.path)
        lines += [str(file.path)]
        wrong = problems(FILES[file.kind], table)
        shown = set()
        for setting in declared(file.kind):
            if setting.table is not None or not _applies(table, setting.key):
                continue
            value, is_set = _value(table, setting)
            if not is_set and value is None:
                continue
            is_good = all(one.key != setting.key for one in wrong)
            shown.add(setting.key)
            if not is_good:  # not in force; and it may be a password in an address, or a PIN
                value = None
            data.append({
                "file": str(file.path), "key": setting.key, "value": value, "is_set": is_set, "is_good": is_good,
            })  # fmt: skip
            note = "  (wrong: `dta config check`)" if not is_good else "" if is_set else "  (default)"
            lines.append(f"  {setting.key}{note}" if value is None else f"  {setting.key} = {spoken(value)}{note}")
        lines += [f"  {one.key}: {one.wrong} (`dta config check`)" for one in wrong if one.key not in shown]
    session.show({"settings": data}, lines)


def _applies(table: dict[str, Any], key: str) -> bool:
    """Whether what the setting is in can be without it: not so in a list of tables, each of which has its own."""
    at: Any = table
    *above, _ = key.split(".")
    for part in above:
        at = at.get(part) if isinstance(at, dict) else None
    return not isinstance(at, list)


def _value(table: dict[str, Any], setting: Setting) -> tuple[JsonValue, bool]:
    at: Any = table
    for part in setting.key.split("."):
        if not isinstance(at, dict) or part not in at:
            return setting.default, False
        at = at[part]
    plain = isinstance(at, bool | int | str) or (isinstance(at, list) and all(isinstance(one, str) for one in at))
    return at if plain else str(at), True


def spoken(value: JsonValue) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(spoken, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def explain(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A setting, such as hooks.max_state_age_s; all where none is given.")] = "",
) -> None:
    """Explain a setting: in which file, what may stand there, what it does, and its default."""
    session = session_of(context)
    every = [setting for file in FILES for setting in declared(file)]
    chosen = [one for one in every if not key or key in (one.key, f"{one.file}:{one.key}", one.key.rpartition(".")[2])]
    chosen = [one for one in chosen if one.key == key or f"{one.file}:{one.key}" == key] or chosen
    if not chosen:
        near = difflib.get_close_matches(key, [one.key for one in every], n=1, cutoff=0.6)
        raise NotFound(
            f"there is no setting {key!r}",
            hint=f"did you mean {near[0]}?" if near else "`dta config explain` lists all",
        )
    lines: list[str] = []
    for one in chosen:
        lines += [f"{one.key}  ({one.file})", f"  {one.says}", f"  what may stand there: {one.meant}"]
        if one.table is None:
            absent = "it has to be there" if one.is_required else f"{spoken(one.default)}"
            lines.append(f"  where it is not given: {absent}" if one.default is not None or one.is_required
                         else "  where it is not given: nothing")  # fmt: skip
    session.show({"settings": [_setting_json(one) for one in chosen]}, lines)


def _setting_json(one: Setting) -> dict[str, JsonValue]:
    return {
        "file": one.file, "key": one.key, "meant": one.meant, "says": one.says, "is_required": one.is_required,
        "default": one.default,
    }  # fmt: skip
