"""Plays a page's commands, each in the home of whoever runs it, as the page says.

``dta vault open  # bob`` is bob's; without a name it is the page's own person's. A comment may begin with the name of
several (``# each of the others``): they run it one after the other. An upper-case word is what an earlier command
printed after that word in lower case: VAULT is the id of the line ``vault  1f...``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.support.command_blocks import commands

Run = Callable[[str, list[str]], tuple[int, str]]
"""(who, arguments) -> exit code, all that was printed."""

_PRINTED = re.compile(r"(?:^|\s)([a-z]+)\s+([0-9a-f]{64})(?=\s|$)", re.MULTILINE)
# Not a variable of the shell's, where it is set and where it is used.
_WANTED = re.compile(r"(?<!\$)(?<!\$\{)\b[A-Z]{3,}\b(?!=)")
_WHO = re.compile(r"#\s*(\w+)")


class Names:
    """What commands printed, by the word that stands before it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        assert name in self._known, f"no command before it printed a {name.lower()}"
        return self._known[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._known[name] = value

    def learn(self, printed: str) -> None:
        """Take up every id that stands after a word; the last one counts."""
        self._known.update((name.upper(), value) for name, value in _PRINTED.findall(printed))

    def put_in(self, text: str) -> str:
        """``text`` with every upper-case word replaced. Fails on one that nothing printed."""
        return _WANTED.sub(lambda match: self[match[0]], text)

    def put_known_in(self, text: str) -> str:
        """``text`` with those upper-case words replaced that are known."""
        return _WANTED.sub(lambda match: self._known.get(match[0], match[0]), text)


class Player:
    """``me``: who runs a command that names none of ``people``. ``several``: whom a comment's first words mean."""

    def __init__(
        self, people: Iterable[str], me: str, run: Run, several: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.names = Names()
        self._people = frozenset(people)
        self._me = me
        self._run = run
        self._several = several or {}

    def play(self, block: str) -> str:
        """Every command of a block; what was printed. Fails on the first that does not succeed."""
        return "".join(self._one(line, who) for line in commands(block) for who in self._whose(line))

    def _whose(self, line: str) -> Sequence[str]:
        comment = line.partition("#")[2].strip()
        for words, who in self._several.items():
            if comment.startswith(words):
                return who
        said = _WHO.search(line)
        return (said[1],) if said and said[1] in self._people else (self._me,)

    def _one(self, line: str, who: str) -> str:
        words = shlex.split(line, comments=True)
        if not words:  # a comment, and nothing else
            return ""
        assert words[0] == "dta", f"{line}: this plays dta alone"
        code, printed = self._run(who, [self.names.put_in(word) for word in words[1:]])
        assert code == 0, f"{who}: {line}\nended with {code}:\n{printed}"
        self.names.learn(printed)
        return printed
