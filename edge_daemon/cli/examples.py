"""`edge-daemon examples`: add, import, export, list, rename, merge, undo, redo and clear."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from edge_daemon.app.model_factory import (
    build_object_embedder,
    build_resolved_embedder,
    open_store,
    open_store_to_read,
    require_store,
)
from edge_daemon.cli.example_list import print_row, run_list
from edge_daemon.cli.fetch import add_fetch_arguments, run_fetch
from edge_daemon.cli.foreign_examples import check_fit, first_byte, warn_of_other_models
from edge_daemon.cli.main import add_action
from edge_daemon.cli.option_values import read_path, read_rename
from edge_daemon.cli.progress import Progress
from edge_daemon.cli.store_warnings import warn_of_store
from edge_daemon.config.panel import label_uses
from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, RequestError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.change_history import Change
from edge_daemon.example_store.image_folders import Picture, export_folders, find_pictures, import_pictures
from edge_daemon.example_store.importing import (
    ImportLabels,
    ImportReport,
    add_new,
    import_salvage,
    similar_labels,
)
from edge_daemon.example_store.ml5_json import read_dataset, write_dataset
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.example_store.zipped_pictures import find_zipped_pictures, is_picture_zip

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = add_action(actions, "add", _add, "teach pictures as examples of a label")
    add.add_argument("label", metavar="LABEL", help="label of all these pictures")
    add.add_argument("image", nargs="+", type=read_path, metavar="IMAGE", help="picture to teach")
    _add_region(add)
    import_ = add_action(
        actions,
        "import",
        _import,
        "import label folders, a zip of them, a Teachable Machine project, an ml5/tfjs dataset or an archive",
    )
    import_.add_argument("path", type=read_path, metavar="PATH", help="folder or file to import")
    import_.add_argument(
        "--rename",
        type=read_rename,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="import a label under another name; repeatable",
    )
    import_.add_argument("--space", metavar="ID", help="embedding space of an ml5/tfjs dataset, if known")
    _add_region(import_)
    export = add_action(
        actions,
        "export",
        _export,
        "write NAME.zip (complete), NAME.json (ml5/tfjs) or a folder (pictures only)",
    )
    export.add_argument("path", type=read_path, metavar="PATH", help="file or folder to write")
    export.add_argument(
        "--form", choices=["ml5", "tfjs"], default="ml5", help="format of the JSON (default: ml5)"
    )
    export.add_argument("--space", metavar="ID", help="embedding space for JSON, if the store has several")
    fetch = add_action(actions, "fetch", run_fetch, "fetch the examples of a device over MQTT, as a zip")
    add_fetch_arguments(fetch)
    add_action(actions, "list", run_list, "show the number of examples and the evaluation of each label")
    rename = add_action(actions, "rename", _rename, "give all examples of a label another label")
    rename.add_argument("old", metavar="OLD")
    rename.add_argument("new", metavar="NEW")
    merge = add_action(actions, "merge", _merge, "give all examples of one or more labels the label INTO")
    merge.add_argument("labels", nargs="+", metavar="LABEL")
    merge.add_argument("into", metavar="INTO")
    add_action(actions, "undo", _undo, "undo the last change: a burst, import, clear, rename or merge")
    add_action(actions, "redo", _redo, "redo the change that was undone last")
    clear = add_action(actions, "clear", _clear, "remove all examples, or those of one label")
    clear.add_argument("label", nargs="?", metavar="LABEL", help="this label only (default: all)")
    salvage = add_action(
        actions,
        "salvage",
        _salvage,
        "import the readable examples of a damaged store, such as NAME.corrupt-TIME",
    )
    salvage.add_argument("file", type=read_path, metavar="FILE")
    add_action(
        actions, "reembed", _reembed, "embed examples again with the configured model, from their thumbnails"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    config = load_config(args.config, [*args.set, *args.more_set])
    action: Callable[..., int] = args.action
    if action is run_fetch:  # needs no store here
        return run_fetch(args, config)
    warn_of_store(config)
    with _open_store(config, action) as store:
        return action(args, config, store)


def _open_store(config: Config, action: Callable[..., int]) -> ExampleStore:
    """Open the store of an action; only those that add examples make a new file at a given path."""
    if action in (run_list, _export):
        return open_store_to_read(config)
    if action not in (_add, _import, _salvage):
        require_store(config)
    return open_store(config)


def _add_region(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", metavar="NAME", help="region that the pictures show (default: the first)")


def _add(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    label = check_label(args.label)
    pictures = [Picture(label, path) for path in args.image]
    report = _teach(args, config, store, pictures, ImportReport())
    _print_report(args, store, report)
    return 1 if report.problems else 0  # every picture was named on the command line


def _import(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    path: Path = args.path
    report = ImportReport()
    labels = ImportLabels(report, dict(args.rename))
    start = b"" if path.is_dir() else first_byte(path)
    if path.is_dir():
        _teach(args, config, store, find_pictures(path, store.counts, labels), report)
    elif start == b"P" and is_picture_zip(path):
        _teach(args, config, store, find_zipped_pictures(path, store.counts, labels), report)
    elif start == b"P":
        report = import_archive(store, path, Progress("checking"), labels)
        warn_of_other_models(config, store)
    elif start in (b"{", b"[", b'"'):
        records = read_dataset(path, args.space, _region(args, config), labels)
        check_fit(config, records)
        add_new(store, records, report)
    else:
        raise ArchiveError(
            f"'{path}' can't be imported: expected a folder or zip of label folders, "
            "a Teachable Machine project, an ml5/tfjs JSON or a zip of `examples export`; "
            "`examples salvage` reads a store"
        )
    _print_report(args, store, report)
    return 0


def _export(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    path: Path = args.path
    without_picture = 0
    match path.suffix.lower():
        case ".zip":
            written = write_archive(store, path)
        case ".json":
            written = write_dataset(store, path, args.form, args.space)
        case _:
            written, without_picture = export_folders(store, path)
    note = f"; {without_picture} without a picture left out" if without_picture else ""
    print_row(
        args,
        f"{counted(written, 'example')} in {path}{note}",
        path=str(path),
        exported=written,
        without_picture=without_picture,
    )
    return 0


def _undo(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    return _print_change(args, store, store.undo())


def _redo(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    return _print_change(args, store, store.redo())


def _print_change(args: argparse.Namespace, store: ExampleStore, change: Change) -> int:
    print_row(args, change.text, change=change.number, text=change.text, counts=store.counts)
    return 0


def _rename(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    ids = store.rename(args.old, args.new)
    return _print_moved(args, config, store, [args.old], ids)


def _merge(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    ids = store.merge(args.labels, args.into)
    return _print_moved(args, config, store, args.labels, ids)


def _print_moved(
    args: argparse.Namespace, config: Config, store: ExampleStore, labels: list[str], ids: list[int]
) -> int:
    """Print the result of a rename or merge, and warn of what still names the former labels."""
    to = check_label(args.new if args.action is _rename else args.into)
    print_row(
        args,
        f"{counted(len(ids), 'example')} moved to '{to}'",
        label=to,
        moved=len(ids),
        counts=store.counts,
    )
    _warn_of_uses(config, [label for label in labels if label != to])
    return 0


def _warn_of_uses(config: Config, labels: Iterable[str]) -> None:
    uses = label_uses(config.buttons)
    for use in (use for label in labels for use in uses.get(label, [])):
        log.warning("%s; change it in the configuration", use)


def _clear(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    removed = len(store.clear(args.label))
    print_row(args, f"removed {counted(removed, 'example')}", label=args.label, removed=removed)
    _warn_of_uses(config, [] if args.label is None else [args.label])
    return 0


def _salvage(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    report = import_salvage(store, args.file)
    warn_of_other_models(config, store)
    _print_report(args, store, report)
    return 0


def _reembed(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    embedder = build_resolved_embedder(config)
    report = reembed(store, embedder, Progress("embedding"), build_object_embedder(embedder))
    _print_report(args, store, report)
    return 0


def _teach(
    args: argparse.Namespace,
    config: Config,
    store: ExampleStore,
    pictures: list[Picture],
    report: ImportReport,
) -> ImportReport:
    return import_pictures(
        store,
        build_resolved_embedder(config),
        Progress("embedding")(pictures, len(pictures)),
        region=_region(args, config),
        thumbnail_px=config.store.thumbnail_px,
        report=report,
    )


def _region(args: argparse.Namespace, config: Config) -> str:
    names = [region.name for region in config.regions] or [WHOLE_FRAME]
    if args.region is not None and args.region not in names:
        raise RequestError(f"no region '{args.region}'; regions are {', '.join(names)}")
    return str(args.region or names[0])


def _print_report(args: argparse.Namespace, store: ExampleStore, report: ImportReport) -> None:
    """Print the result of an import. Raises ArchiveError if nothing was added or known."""
    if report.problems and not (report.added or report.duplicates):
        more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
        raise ArchiveError(f"nothing imported: {report.problems[0]}{more}")
    for problem in report.problems:
        log.warning("%s", problem)
    for first, second in similar_labels(store.counts):
        log.warning("labels '%s' and '%s' differ only in case or spaces; they are two classes", first, second)
    left_out = len(report.problems)
    words = f"{counted(report.added, 'example')} in, {report.duplicates} known already, {left_out} left out"
    print_row(
        args,
        words,
        added=report.added,
        duplicates=report.duplicates,
        problems=report.problems,
        counts=store.counts,
    )
