"""`edge-daemon models recommend` and `use`: the model for this board, and the change to another one."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from edge_daemon.app.model_change import change_model, on_used_store, plan_edit, used_store
from edge_daemon.app.model_factory import build_embedder, configured_model, model_name, with_model
from edge_daemon.board.process import daemon_process
from edge_daemon.cli.config import note
from edge_daemon.cli.model_pull import add_source_argument, pull
from edge_daemon.cli.option_values import read_model
from edge_daemon.cli.progress import Progress
from edge_daemon.config.hidden_paths import hidden_folder
from edge_daemon.config.schema import DEFAULT_PATH, Config, LoadedConfig, load_with_sources
from edge_daemon.config.yaml_source import OVERRIDE
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ConfigError, ModelError
from edge_daemon.models import registry
from edge_daemon.models.advice import advise, known_manifest, measure_shipped_ms
from edge_daemon.models.recommendation import Choice, ModelRecommendation
from edge_daemon.models.registry import DEFAULT_MODEL
from edge_daemon.system.own_command import program, program_as_root
from edge_daemon.system.printable import printable
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.inspection import inference_ms


class ModelChange(Struct, frozen=True):
    """A change of the model that was made. `process` is the daemon that still uses the earlier model.

    `fleet` is the group of devices that share examples with this one.
    """

    name: str
    before: str
    config: str
    embedded: int
    left_out: tuple[str, ...]
    process: int | None
    fleet: str | None


def add_recommend_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    parser.add_argument(
        "--offline", action="store_true", help="download nothing: choose among the models on this disk"
    )
    parser.add_argument(
        "--use",
        action="store_true",
        help="use the best model that is available and fast enough; otherwise keep the current one",
    )
    parser.set_defaults(partial=False, source=None)


def add_use_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    parser.add_argument(
        "name", type=read_model, metavar="NAME", help="a name of `models list`, or a .tflite file"
    )
    parser.add_argument("--offline", action="store_true", help="use the model only if it is on this disk")
    parser.add_argument(
        "--partial", action="store_true", help="use the model even if some examples can't be embedded again"
    )
    add_source_argument(parser)


def run_use(args: argparse.Namespace) -> int:
    """Run the action."""
    loaded = _load(args)
    change = _use(args, loaded, _full_name(args.name))
    print(json.dumps(to_builtins(change)) if args.json else "\n".join(_lines(args, change)))
    return 0


def run_recommend(args: argparse.Namespace) -> int:
    """Run the action."""
    loaded = _load(args)
    ms = measure_shipped_ms()
    advice = advise(DEFAULT_MODEL, ms, offline=args.offline)
    used = model_name(loaded.config)
    if args.json and not args.use:
        print(json.dumps(_as_json(advice, used, ms)))
    elif not args.json:
        print("\n".join(_advice_lines(advice, used, ms)))
    return _use_best(args, loaded, advice) if args.use else 0


def _use_best(args: argparse.Namespace, loaded: LoadedConfig, advice: ModelRecommendation) -> int:
    """Use the first recommended model that can be had and is fast enough here."""
    used = model_name(loaded.config)
    for choice in advice.to_try(used):
        try:
            change = _use(args, loaded, choice.name, advice.limit_ms)
        except ModelError as exc:
            note(f"{choice.name} is not used: {exc}")
            continue
        print(json.dumps(to_builtins(change)) if args.json else "\n".join(_lines(args, change)))
        return 0
    print(json.dumps({"name": used, "before": used}) if args.json else f"{used} stays in use")
    return 0


def _load(args: argparse.Namespace) -> LoadedConfig:
    loaded = load_with_sources(args.config, [*args.set, *args.more_set])
    return replace(loaded, config=on_used_store(loaded.config))


def _full_name(name: str) -> str:
    """Return a name as it is, and the path of a file as one that is valid in every working directory."""
    path = Path(os.path.expanduser(name))
    return str(path.absolute()) if path.name != name or path.is_file() else name


def _use(
    args: argparse.Namespace, loaded: LoadedConfig, name: str, limit_ms: float | None = None
) -> ModelChange:
    """Change the model. Raises EdgeError, after which configuration and examples are as before."""
    manifest = _to_pull(args, name)
    config, path = loaded.config, _config_file(loaded, name)
    edit = plan_edit(path, config.model.name, name)
    if manifest is not None:
        pull(manifest, args.source)
    changed = with_model(config, name)
    if limit_ms is not None:
        _check_speed(changed, limit_ms)
    report = change_model(changed, edit, partial=args.partial, track=Progress("embedding"))
    return ModelChange(
        name=name,
        before=configured_model(config),
        config=str(path),
        embedded=report.added,
        left_out=tuple(report.problems),
        process=daemon_process(used_store(config)),
        fleet=config.fleet.group,
    )


def _config_file(loaded: LoadedConfig, name: str) -> Path:
    """Return the file to change. Raises ConfigError where a change of it would have no effect."""
    if loaded.path is None:
        command = f"{program_as_root()} config set {shlex.quote(f'model.name={name}')}"
        raise ConfigError(
            f"there is no configuration file to change; make {DEFAULT_PATH} with `{command}`, "
            "or name another file with --config"
        )
    location = loaded.source.locations.get(("model", "name"))
    if location is not None and location.where == OVERRIDE:
        raise ConfigError("--set model.name overrides the file that is to be changed; leave it out")
    if loaded.config.model.features == "patch" and loaded.config.classifier.type != "pretrained":
        raise ConfigError("model.features: patch uses no model; set it to `embedding` first")
    if loaded.path == DEFAULT_PATH and (folder := hidden_folder(name)) is not None:
        raise ConfigError(
            f"{name} is in {folder}, which the unit's ProtectHome= hides from the service; "
            f"`edge-daemon models add {shlex.quote(name)}` makes a copy, whose name `models use` takes"
        )
    return loaded.path


def _to_pull(args: argparse.Namespace, name: str) -> registry.Manifest | None:
    """Return the manifest of a model that is to be pulled; None for one on disk. Raises ModelError."""
    try:
        registry.find_model(name)
    except ModelError:
        manifest = known_manifest(name)
        if args.offline or manifest is None or not manifest.can_be_pulled:
            raise
        return manifest
    return None


def _check_speed(config: Config, limit_ms: float) -> None:
    """Raise ModelError for a model that takes longer here than its cost let expect."""
    embedder = build_embedder(config)
    if isinstance(embedder, TfliteEmbedder) and (ms := inference_ms(embedder)) > limit_ms:
        raise ModelError(f"{ms:.0f} ms an inference, more than the {limit_ms:.0f} ms of this board's limit")


def _lines(args: argparse.Namespace, change: ModelChange) -> list[str]:
    """Format a change, with the way back and the command that lets a running daemon use it."""
    lines = [
        f"{change.config}: model.name is {change.name}; {counted(change.embedded, 'example')} embedded again"
    ]
    lines += [f"left out: {printable(problem)}" for problem in change.left_out]
    called = program_as_root() if os.geteuid() == 0 else program()
    option = f" --config {shlex.quote(str(args.config))}" if args.config else ""
    if change.before != change.name:
        lines.append(f"go back: {called} models use {shlex.quote(change.before)}{option}")
    if change.fleet is not None:
        lines.append(f"every device of the fleet '{change.fleet}' needs the same model to share examples")
    if change.process is not None:
        is_service = Path(change.config) == DEFAULT_PATH
        reload = "sudo systemctl reload edge-daemon" if is_service else f"kill -HUP {change.process}"
        lines.append(f"the running daemon uses {change.before} until: {reload}")
    return lines


def _advice_lines(advice: ModelRecommendation, used: str, ms: float) -> list[str]:
    better = advice.better_than(used)
    lines = [
        ("board", f"{advice.board}; at most {advice.limit_ms:.0f} ms an inference"),
        ("measured", f"{DEFAULT_MODEL}: {ms:.2g} ms an inference"),
        ("in use", next((str(each) for each in advice.known if each.name == used), f"{used}: not known")),
        ("recommended", f"{better}{_where(better)}" if better else f"{used}: nothing better is known"),
    ]
    return [f"{name:<12} {value}" for name, value in lines]


def _where(choice: Choice) -> str:
    sources = {"here": "on this disk", "address": "can be downloaded", "registry": "in the package registry"}
    return f"; {sources[choice.source]}: edge-daemon models use {choice.name}"


def _as_json(advice: ModelRecommendation, used: str, ms: float) -> dict[str, object]:
    better = advice.better_than(used)
    return {
        "board": advice.board.name,
        "cores": advice.board.cores,
        "memory_bytes": advice.board.memory_bytes,
        "limit_ms": advice.limit_ms,
        "measured": {"name": DEFAULT_MODEL, "ms": round(ms, 3)},
        "in_use": used,
        "recommended": to_builtins(better) if better else None,
        "better": to_builtins(advice.better),
    }
