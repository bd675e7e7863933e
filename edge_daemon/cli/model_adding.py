"""`edge-daemon models add`: add a model from a file, an export or a web address."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from edge_daemon.cli.config import note
from edge_daemon.cli.option_values import read_model, read_path
from edge_daemon.cli.progress import draw_transfer
from edge_daemon.cli.store_warnings import is_beside_service
from edge_daemon.config.schema import load_config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, ModelError
from edge_daemon.imaging.input_range import InputRange, parse_range
from edge_daemon.models import registry
from edge_daemon.models.part_file import check_model_folder
from edge_daemon.models.teachable_machine import Added, add, check_name
from edge_daemon.models.web_transfer import is_web_address
from edge_daemon.system.disk import temporary_folder

_MODEL_JSON = "model.json"
_GIVEN = "given with --range"


def declare_add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `models add`."""
    parser.add_argument(
        "path",
        type=read_model,
        metavar="PATH|URL",
        help="zip, folder, .tflite file, or a TensorFlow.js model.json; or the http(s) address of one",
    )
    # argparse parses -1..1 as an option, as it is not a number. Python 3.14 parses it as a value.
    vars(parser)["_negative_number_matcher"] = re.compile(r"-\d")
    parser.add_argument(
        "--range",
        type=_range,
        metavar="LOW..HIGH",
        help="black..white in training, if the model doesn't declare them: -1..1, 0..1, 0..255, 1..0",
    )
    parser.add_argument(
        "--labels",
        type=read_path,
        metavar="FILE",
        help="the model's class names, one per line (default: those beside or inside it)",
    )
    parser.add_argument(
        "--calibrate",
        type=read_path,
        metavar="DIR",
        help="for a model.json: 8-bit weights, calibrated with these pictures",
    )
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: the file's)")


def add_model(args: argparse.Namespace) -> int:
    """Run `models add`."""
    added = _add_from_web(args) if is_web_address(args.path) else _add(Path(args.path), args.name, args)
    if args.json:
        print(json.dumps({**asdict(added), "name": added.path.stem, "path": str(added.path)}))
        return 0
    classes = counted(len(added.labels), "class", "classes") if added.labels else "no class names"
    size = counted(added.embedding_size, "number")
    print(f"{added.path.stem}: {added.path}, {classes}, an embedding of {size}")
    print(f"black..white: {added.input_range}{'' if args.range else '; --range sets another'}")
    print(f"use it: edge-daemon models use {added.path.stem}")
    if is_beside_service() and "EDGE_DAEMON_MODELS" not in os.environ and os.geteuid() != 0:
        note("the installed service does not use models of this folder; add it with sudo for the service")
    return 0


def _add_from_web(args: argparse.Namespace) -> Added:
    from edge_daemon.models.web_export import WebAddress, downloaded_export

    address = WebAddress.parse(args.path)
    name = check_name(args.name or address.model_name)
    download = downloaded_export(address, registry.download_folder(), draw_transfer)
    with download as path, _naming(f"{path.parent}/", address.beside("")):
        return _add(path, name, args)


@contextmanager
def _naming(temporary: str, given: str) -> Iterator[None]:
    """Name the file or address that the user gave instead of a temporary one in errors."""
    try:
        yield
    except (ArchiveError, ModelError) as exc:
        raise type(exc)(str(exc).replace(temporary, given)) from exc


def _add(path: Path, name: str | None, args: argparse.Namespace) -> Added:
    model = load_config(args.config, [*args.set, *args.more_set]).model
    add_export = partial(add, labels=args.labels, threads=model.threads, delegate=model.delegate)
    if path.suffix != ".json" or path.is_dir():
        added = add_export(path, registry.download_folder(), name, values=args.range)
        return added if args.range is None else replace(added, input_range=f"{args.range}, {_GIVEN}")
    from edge_daemon.models.converter import convert_to_folder

    own_name = path.resolve().parent.name if path.name == _MODEL_JSON else path.stem
    chosen = check_name(name or own_name)
    folder = registry.download_folder()
    check_model_folder(folder)  # before the conversion, which can take long
    with temporary_folder() as converted, _naming(str(converted), str(path)):
        values = convert_to_folder(path, converted, args.range, args.calibrate)
        added = add_export(converted, folder, chosen)
    origin = _GIVEN if args.range is not None else "as usual for such a model"
    return replace(added, input_range=f"{values}, {origin}")


def _range(text: str) -> InputRange:
    try:
        return parse_range(text)
    except ModelError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
