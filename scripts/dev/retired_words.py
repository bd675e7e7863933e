#!/usr/bin/env python3
"""Find retired words in names, docstrings, comments and messages, and docstrings that begin with a wh-clause.

    scripts/dev/retired_words.py [PATH...]      default: all of the program's folders

Messages are the texts of log lines, errors and help. In shell scripts, YAML and unit files the comments are
searched. retired_words.txt has the words and their replacements. Exit code 1 if any is found.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_suffix(".txt")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_WH_CLAUSE = re.compile(r"(What|Where|When|Whether|Why|Which|Who|Whose|How)\b")
_FOLDERS = ("config", "edge_daemon", "packaging", "scripts", "systemd", "tests")
_COMMENTED = (".conf", ".service", ".sh", ".yaml")
_LOG_CALLS = ("debug", "info", "warning", "error", "exception", "log")
_HELP = ("help", "description", "summary")


def read_list(text: str) -> dict[str, dict[str, str]]:
    """Return the sections of the list, each as word -> replacement."""
    sections: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            word, _, replacement = line.partition(": ")
            section[word] = replacement
    return sections


def faults(text: str, identifiers: dict[str, str], prose: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield line number and fault of each retired word in Python source text."""
    phrases = _phrases(prose)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and _WH_CLAUSE.match(_text_of(node.value)):
            yield node.lineno, "a docstring begins with a wh-clause"
    for part in _message_parts(tree):
        for match in phrases.finditer(_text_of(part)):
            yield part.lineno, _fault(match, prose)
    seen = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string not in seen:
            seen.add(token.string)
            for part in _PART.findall(token.string):
                if replacement := identifiers.get(part.lower()):
                    yield token.start[0], f"name '{token.string}': use {replacement}"
        elif _is_prose(token):
            for match in phrases.finditer(token.string):
                line = token.start[0] + token.string.count("\n", 0, match.start())
                yield line, _fault(match, prose)


def comment_faults(text: str, prose: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield line number and fault of each retired word in the comments of a shell script or a unit file."""
    phrases = _phrases(prose)
    for number, line in enumerate(text.splitlines(), 1):
        comment = _COMMENT.search(line)
        for match in phrases.finditer(comment[0] if comment else ""):
            yield number, _fault(match, prose)


def _phrases(prose: dict[str, str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, prose)) or '(?!)'})\b", re.IGNORECASE)


def _fault(match: re.Match[str], prose: dict[str, str]) -> str:
    return f"'{match[0]}': use {prose[match[0].lower()]}"


def _text_of(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _message_parts(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the string constants of log lines, errors and help texts."""
    for node in ast.walk(tree):
        roots: list[ast.expr] = []
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            roots = node.exc.args
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_log = isinstance(node.func.value, ast.Name) and node.func.value.id == "log"
            roots = node.args if is_log and node.func.attr in _LOG_CALLS else []
            roots = roots + [each.value for each in node.keywords if each.arg in _HELP]
        for root in roots:
            yield from (each for each in ast.walk(root) if isinstance(each, ast.Constant))


def _is_prose(token: tokenize.TokenInfo) -> bool:
    docstring = token.type == tokenize.STRING and token.line.lstrip().startswith(('"""', 'r"""'))
    return docstring or token.type == tokenize.COMMENT


def main(paths: list[str]) -> int:
    sections = read_list(LIST.read_text())
    found = 0
    for path in sorted(path for name in paths or _FOLDERS for path in _files(ROOT / name)):
        relative = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        allowed = {
            word
            for place, words in sections["exceptions"].items()
            if relative.is_relative_to(place)
            for word in words.split(", ")
        }
        lists = [
            {word: text for word, text in sections[name].items() if word not in allowed}
            for name in ("identifiers", "prose")
        ]
        text = path.read_text()
        reported = faults(text, *lists) if path.suffix == ".py" else comment_faults(text, lists[1])
        for line, fault in reported:
            found += 1
            print(f"{relative}:{line}: {fault}")
    return 1 if found else 0


def _files(path: Path) -> list[Path]:
    """Return the Python files, and the files with comments of another kind, in a folder."""
    if path.is_file():
        return [path]
    return [each for each in path.rglob("*") if each.suffix == ".py" or _has_comments(each)]


def _has_comments(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return path.suffix in _COMMENTED or (not path.suffix and file.read(2) == b"#!")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
