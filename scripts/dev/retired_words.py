#!/usr/bin/env python3
"""Find retired words in names, docstrings and comments, and docstrings that begin with a wh-clause.

    scripts/dev/retired_words.py [PATH...]      default: edge_daemon scripts tests

retired_words.txt has the words and their replacements. Exit code 1 if any is found.
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
_WH_CLAUSE = re.compile(r"(What|Where|When|Whether|Why|Which|Who|Whose|How)\b")
_NAMED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


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
    phrases = re.compile(rf"\b({'|'.join(map(re.escape, prose))})\b", re.IGNORECASE) if prose else None
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _NAMED) and _WH_CLAUSE.match(ast.get_docstring(node) or ""):
            yield node.body[0].lineno, "a docstring begins with a wh-clause"
    seen = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string not in seen:
            seen.add(token.string)
            for part in _PART.findall(token.string):
                if replacement := identifiers.get(part.lower()):
                    yield token.start[0], f"name '{token.string}': use {replacement}"
        elif phrases and _is_prose(token):
            for match in phrases.finditer(token.string):
                line = token.start[0] + token.string.count("\n", 0, match.start())
                yield line, f"'{match[0]}': use {prose[match[0].lower()]}"


def _is_prose(token: tokenize.TokenInfo) -> bool:
    docstring = token.type == tokenize.STRING and token.line.lstrip().startswith(('"""', 'r"""'))
    return docstring or token.type == tokenize.COMMENT


def main(paths: list[str]) -> int:
    sections = read_list(LIST.read_text())
    found = 0
    for path in sorted(
        path for name in paths or ["edge_daemon", "scripts", "tests"] for path in _python_files(ROOT / name)
    ):
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
        for line, fault in faults(path.read_text(), *lists):
            found += 1
            print(f"{relative}:{line}: {fault}")
    return 1 if found else 0


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.rglob("*.py"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
