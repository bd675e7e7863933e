"""The documentation builds, its links lead somewhere, and the paths that it names exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page

from tests.harness.browser import SIZES, TIMEOUT_MS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TABLES = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "models").glob("*.md")]
FRONT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.~$-])(?:config|models|packaging|scripts|systemd|tests)/[\w./-]*\w")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
RULE = re.compile(r"^ *\|[ :|-]+\|$")
MODULE = re.compile(r"`(?:edge_daemon/)?([a-z_]+/[a-z_/]+\.py)`")
DOCS_PAGE = re.compile(r"\bdocs/[\w./-]*\.md\b")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of a folder as `scripts/docs` does, with the project's settings."""
    options = ["--quiet", "--fresh-env", "--fail-on-warning", "--keep-going", "--nitpicky"]
    command = [sys.executable, "-m", "sphinx", *options, "-c", str(DOCS), str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(DOCS, target)
    assert done.returncode == 0, done.stderr
    return target


def test_the_site_builds_without_a_warning_and_has_every_page_and_a_search(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert {page.relative_to(DOCS) for page in DOCS.rglob("*.md")} <= built
    assert (site / "searchindex.js").stat().st_size > 10_000


def test_pages_load_nothing_from_another_server(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:)?//', page.read_text())
        assert not loaded, page


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    width, height = SIZES["phone"]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    page.close()


def test_no_page_is_wider_than_a_phone(site: Path, phone: Page) -> None:
    for page in sorted(site.rglob("*.html")):
        phone.goto(page.as_uri())
        width, room = phone.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert width <= room, page


def test_the_search_needs_no_server(site: Path, phone: Page) -> None:
    phone.goto(f"{(site / 'search.html').as_uri()}?q=leave-one-out")
    found = phone.locator("ul.search li a", has_text="Evaluation and recommendation")
    found.first.wait_for()  # the list grows while it is shown


@pytest.mark.parametrize(
    ("link", "named"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[anchor](other.md#no-such-heading)", "no-such-heading"),
        ("[own](#nowhere)", "nowhere"),
        ("![picture](gone.svg)", "gone.svg"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str, named: str) -> None:
    (tmp_path / "index.md").write_text(f"# First\n{link}\n\n```{{toctree}}\nother\n```\n")
    (tmp_path / "other.md").write_text("# Other\n## A heading\n")
    done = build(tmp_path, tmp_path / "built")
    assert done.returncode != 0
    assert named in done.stderr


def test_a_page_in_no_table_of_contents_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# First\n")
    (tmp_path / "lost.md").write_text("# Lost\n")
    done = build(tmp_path, tmp_path / "built")
    assert done.returncode != 0
    assert "lost.md" in done.stderr


@pytest.mark.parametrize("page", FRONT, ids=lambda page: page.name)
def test_links_outside_the_site_lead_to_files_and_headings(site: Path, page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        assert (page.parent / path).exists(), link
        if anchor:
            built = site / Path(path).relative_to("docs").with_suffix(".html")
            assert f'id="{anchor}"' in built.read_text(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_a_page_exist(page: Path) -> None:
    text = page.read_text()
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), path
    for path in MODULE.findall(text):
        assert (ROOT / path).exists() or (ROOT / "edge_daemon" / path).exists(), path


@pytest.mark.parametrize("folder", ["edge_daemon", "scripts", "tests"])
def test_pages_that_a_source_names_exist(folder: str) -> None:
    sources = [source.read_text() for source in (ROOT / folder).rglob("*.py")]
    named = {page for text in sources for page in DOCS_PAGE.findall(text)}
    assert named
    assert not {page for page in named if not (ROOT / page).exists()}


def cells(row: str) -> int:
    return row.strip().strip("|").count("|") + 1


@pytest.mark.parametrize("page", TABLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_of_tables_have_the_cells_of_their_head(page: Path) -> None:
    """Markdown shows a table whose head has another number of cells as text, without a warning."""
    lines = CODE.sub("", page.read_text()).splitlines()
    width = 0
    for before, line in zip(["", *lines], lines, strict=False):
        if RULE.match(line):
            width = cells(line)
            assert cells(before) == width, before
        elif line.lstrip().startswith("|"):
            assert not width or cells(line) == width, line
        else:
            width = 0


def test_the_drawing_of_the_packages_shows_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [set(layer.split(" | ")) for layer in contracts[0]["layers"]]
    tag = "{http://www.w3.org/2000/svg}"
    rows = ElementTree.parse(DOCS / "packages.svg").getroot().findall(f"{tag}g")
    drawn = [
        {str(text.text) for text in row.findall(f"{tag}text") if text.get("class") == "t"} for row in rows
    ]
    assert drawn == layers


def test_check_mode_refuses_an_unknown_argument() -> None:
    done = subprocess.run([ROOT / "scripts/docs", "--deploy"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--deploy" in done.stderr


def test_check_mode_leaves_nothing_behind() -> None:
    before = {path.name for path in (ROOT / "build").iterdir()} if (ROOT / "build").exists() else set()
    subprocess.run([ROOT / "scripts/docs", "--check"], capture_output=True, check=True)
    after = {path.name for path in (ROOT / "build").iterdir()} if (ROOT / "build").exists() else set()
    assert before == after
