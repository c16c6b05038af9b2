"""Finding custodians: those of this package and anybody's, by the entry point group ``dta.custodians``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from dta.base.errors import UsageError
from dta.custodians.plugin import Custodian

ENTRY_POINT_GROUP = "dta.custodians"


class CustodianMissing(UsageError):
    """No installed package offers the custodian, or the one that does fails to load. ``data`` has name and reason."""

    kind = "custodian-missing"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the custodian {name!r} can't be used: {reason}",
            hint=f"install the package that offers it (entry point group {ENTRY_POINT_GROUP})",
            data={"custodian": name, "reason": reason},
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """The custodians that load, by name, and why others do not."""

    custodians: Mapping[str, Custodian]
    failures: Mapping[str, str]

    def get(self, name: str) -> Custodian:
        """The custodian of that name. Raises :class:`CustodianMissing`."""
        found = self.custodians.get(name)
        if found is None:
            raise CustodianMissing(name, self.failures.get(name, "no installed package offers it"))
        return found


def load_custodians() -> Loaded:
    """Every custodian that is installed. One that fails to load holds up no other."""
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        by_name.setdefault(entry.name, []).append(entry)
    custodians: dict[str, Custodian] = {}
    failures: dict[str, str] = {}
    for name, entries in sorted(by_name.items()):
        if len({entry.value for entry in entries}) > 1:
            # Which one would win is an accident of the path: neither may handle shares.
            failures[name] = "several packages offer it: " + ", ".join(sorted(entry.value for entry in entries))
            continue
        try:
            custodians[name] = cast(Custodian, entries[0].load()())
        except Exception as error:
            failures[name] = f"{entries[0].value} does not load: {type(error).__name__}"
    return Loaded(custodians, failures)


def custodian(name: str) -> Custodian:
    """The custodian called ``name``. Raises :class:`CustodianMissing`."""
    return load_custodians().get(name)
