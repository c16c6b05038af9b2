"""The documentation site: built strictly and without a network, and its pages load nothing of anybody else's."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_style import tracked

from tests.support.site_pages import OUTSIDE, moved

ROOT = Path(__file__).resolve().parents[2]
# As `mkdocs`, but that whoever connects anywhere fails.
OFFLINE = """
import socket
def refused(*_):
    raise OSError("the site is built without a network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refused
from mkdocs.__main__ import cli
cli()
"""
# What a page loads without being asked to, and the attribute that says from where.
LOADED = {
    "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",), "embed": ("src",), "object": ("data",),
    "source": ("src", "srcset"), "video": ("src", "poster"), "audio": ("src",), "track": ("src",), "form": ("action",),
    "use": ("href", "xlink:href"), "image": ("href", "xlink:href"), "base": ("href",),
}  # fmt: skip
LOADING_LINKS = frozenset(
    ("stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest")
)
ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
IN_STYLES = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
LIST_ITEM = re.compile(r"( *)(?:[-*+]|\d+[.)]) ")


class Loads(HTMLParser):
    """What a page loads, in its order. ``policy``: its Content-Security-Policy; ``before``: the loads before it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""
        self.before = 0
        self.classes: set[str] = set()
        self._in_style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._in_style = tag == "style"
        self.classes |= set(given.get("class", "").split())
        self.found += [given[name] for name in LOADED.get(tag, ()) if given.get(name)]
        if tag == "link" and LOADING_LINKS & set(given.get("rel", "").split()):
            self.found.append(given.get("href", ""))
        self.found += in_styles(given.get("style", ""))
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policy, self.before = given.get("content", ""), len(self.found)
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.found.append(given.get("content", "").partition("=")[2])

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += in_styles(data)


def in_styles(text: str) -> list[str]:
    """What a stylesheet loads."""
    return [one or two for one, two in IN_STYLES.findall(text)]


def from_elsewhere(found: list[str]) -> list[str]:
    """Those of ``found`` that are not of the site; data that stands in the page is."""
    return [one for one in found if ELSEWHERE.match(one) and not one.strip().startswith("data:")]


def loads(html: str) -> Loads:
    parser = Loads()
    parser.feed(html)
    parser.close()
    return parser


def build(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", OFFLINE, "build", "--strict", "--site-dir", str(directory), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Every file of the site that is text, by its place."""
    directory = tmp_path_factory.mktemp("site")
    done = build(directory)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = (".html", ".css", ".svg")
    return {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(directory.rglob("*")) if path.suffix in kinds
    }  # fmt: skip


def test_every_page_of_the_repository_is_one_of_the_site(site: Mapping[str, str]) -> None:
    pages = [path for path in tracked(ROOT) if path.parts[0] == "docs" and path.suffix == ".md"]
    wanted = {path.relative_to("docs").with_suffix(".html").as_posix() for path in pages}
    wanted |= {place.replace(".md", ".html") for place in OUTSIDE.values()}
    wanted = (wanted - {"adr/README.html"}) | {"adr/index.html"}
    assert wanted - set(site) == set()


def test_no_page_loads_anything_of_anybody_else_s(site: Mapping[str, str]) -> None:
    found = {place: from_elsewhere(loads(text).found) for place, text in site.items() if place.endswith(".html")}
    styled = {place: text for place, text in site.items() if place.endswith((".css", ".svg"))}
    found |= {place: from_elsewhere(in_styles(text)) for place, text in styled.items()}
    assert {place: elsewhere for place, elsewhere in found.items() if elsewhere} == {}


def test_every_page_tells_the_browser_so_before_it_loads_anything(site: Mapping[str, str]) -> None:
    for place, text in site.items():
        if place.endswith(".html"):
            page = loads(text)
            assert page.policy.startswith("default-src 'none';"), place
            assert "http" not in page.policy, place
            assert page.before == 0, place
            assert "mermaid" not in page.classes, f"{place}: its pictures would be drawn by a script of others"


def test_pictures_run_nothing_and_have_words_for_who_hears_them(site: Mapping[str, str]) -> None:
    pictures = {place: text for place, text in site.items() if place.startswith("concepts/") and place.endswith(".svg")}
    assert len(pictures) >= 4
    for place, text in pictures.items():
        assert "<title" in text, place
        assert "<desc" in text, place
        assert not re.search(r"<script|\son\w+=|<foreignObject|href=", text), place


def test_a_link_to_a_page_that_is_not_there_is_refused(tmp_path: Path) -> None:
    config = (ROOT / "mkdocs.yml").read_text()
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Page\n\n[gone](gone.md)\n")
    config = re.sub(r"(?ms)^nav:.*", "", config)
    for place in ("config/site", "tests/support/site_pages.py"):
        config = config.replace(place, str(ROOT / place))
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    assert "gone.md" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("index.md", "../README.md", "tour.md"),
        ("howto/mfa.md", "../../CHANGELOG.md#x", "../changelog.md#x"),
        ("howto/mfa.md", "../spec/mfa.md", "../spec/mfa.md"),
        ("tour.md", "docs/howto/mfa.md", "howto/mfa.md"),
        ("tour.md", "CHANGELOG.md", "changelog.md"),
        ("tour.md", "https://example.org/docs/a.md", "https://example.org/docs/a.md"),
        ("contributing.md", "docs/adr/README.md", "adr/README.md"),
        ("tour.md", "LICENSE", "LICENSE"),
    ],
)
def test_a_link_of_the_repository_leads_to_the_same_page_in_the_site(page: str, link: str, there: str) -> None:
    assert moved(f"see [it]({link}).", page) == f"see [it]({there})."


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://x.example/a.js">', '<link rel="preconnect" href="//x.example">',
        '<img srcset="HTTPS://x.example/a.png 2x">', '<p style="background: url(https://x.example/a)">',
        "<style>@import 'https://x.example/a.css';</style>", '<meta http-equiv="refresh" content="0; url=https://x.example">',
        '<form action="https://x.example">',
    ],
)  # fmt: skip
def test_what_a_page_would_load_from_elsewhere_is_seen(html: str) -> None:
    assert len(from_elsewhere(loads(html).found)) == 1


def test_what_is_a_page_s_own_or_only_followed_is_no_load_from_elsewhere() -> None:
    html = '<a href="https://x.example">x</a><img src="data:image/png;base64,AA"><script src="../a.js"></script>'
    html += '<link rel="canonical" href="https://x.example">'
    assert from_elsewhere(loads(html).found) == []


def read_otherwise(text: str) -> Iterator[int]:
    """Lines that the site and the repository would show as different things.

    A list wants an empty line before it, an item too after a paragraph that an item has besides its first; and what is
    inside an item stands four spaces further in.
    """
    fenced, in_item, before = False, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        item = LIST_ITEM.match(line)
        in_text = bool(before.strip()) and not before.startswith("#") and not in_item
        shifted = len(item[1]) % 4 if item else not before.strip() and 0 < len(line) - len(line.lstrip()) < 4
        if not fenced and (shifted or (item and in_text)):
            yield number
        in_item = bool(line.strip()) and (in_item or item is not None)
        before = line


def test_lists_are_the_same_in_the_site_and_in_the_repository() -> None:
    pages = [path for path in tracked(ROOT) if path.suffix == ".md"]
    # A wrapped line of prose may begin with a number and a bracket: the repository's reader and the site's both go on.
    prose = {"docs/spec/mfa.md"}
    found = {str(path): list(read_otherwise((ROOT / path).read_text())) for path in pages}
    assert {path: lines for path, lines in found.items() if lines and path not in prose} == {}


def test_a_list_that_would_be_two_things_is_seen() -> None:
    text = "text\n- a\n\n- b\n  - c\n\n   text\n\n1. d\n\n    text\n    - e\n\n2. f\n   g\n3. h\n"
    assert list(read_otherwise(text)) == [2, 5, 7, 12]
