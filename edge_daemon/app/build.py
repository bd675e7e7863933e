"""The composition root: builds the pipeline and the daemon from a configuration.

Modules that only some devices use are imported where they are needed: a start takes half as long, and less
memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from edge_daemon.app.fleet_factory import FleetFactory
from edge_daemon.app.model_factory import (
    build_classifier,
    build_embedder,
    build_object_classifier,
    choose_features,
    load_cohort,
    model_path,
    open_store,
    resolve_model,
    store_path,
    uses_scenes,
    with_model,
)
from edge_daemon.app.preflight import Prepared, preflight
from edge_daemon.app.region_factory import build_regions, build_settings, build_text_joiner
from edge_daemon.app.sink_factory import build_board_monitor, build_sinks
from edge_daemon.board.clock import boot_id, clock_synced
from edge_daemon.camera.factory import open_camera
from edge_daemon.config.camera import BrowserOptions, PicameraOptions, ReplayOptions
from edge_daemon.config.panel import label_uses
from edge_daemon.config.schema import Config, config_digest
from edge_daemon.daemon.boot_marks import BootMarks
from edge_daemon.daemon.capture import Capture
from edge_daemon.daemon.daemon import Daemon
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.daemon.status import StatusReporter
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.counted import counted
from edge_daemon.domain.interfaces import Clock, Embedder, FrameSource
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import Region, full_scale
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.teaching.removed_purge import RemovedPurge
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tflite.embedder import TfliteEmbedder

if TYPE_CHECKING:
    from edge_daemon.app.settings_editor import SettingsEditor
    from edge_daemon.domain.types import Image
    from edge_daemon.learning.object_classifier import ObjectClassifier
    from edge_daemon.learning.open_set_classifier import OpenSetClassifier
    from edge_daemon.system.picture_slot import PictureSlot

log = logging.getLogger(__name__)

MAX_BROWSER_PAUSE_S = 1.0
"""Longest pause before a browser's camera is tried again: nothing is opened, and someone waits for it."""


def build(
    config: Config | Prepared,
    *,
    once: bool = False,
    needs_frame: bool = False,
    keyboard: Sequence[str] = (),
    source: FrameSource | None = None,
    pin_factory: object = None,
    notifier: Notifier | None = None,
    marks: BootMarks | None = None,
    settings: SettingsEditor | None = None,
) -> Daemon:
    """Build the whole daemon. Raises EdgeError for a model, store, broker setting or pin that can't be used.

    `source` replaces the configured camera, and `pin_factory` gpiozero's own; `keyboard` holds the labels of
    the keys 1 to 9, empty for no keyboard. With `needs_frame`, a camera that delivers no first frame ends
    the daemon; without it, the daemon waits for the camera. Without `settings` the page changes no settings.
    """
    prepared = config if isinstance(config, Prepared) else preflight(config)
    config, digest = with_model(prepared.config, prepared.model), config_digest(prepared.config)
    clock = SystemClock()
    notifier = notifier or Notifier()
    mailbox = Mailbox()
    slot, backoff = None, Backoff()
    if isinstance(config.camera, BrowserOptions):
        from edge_daemon.camera.browser import no_pictures

        slot, backoff = no_pictures(), Backoff(max_s=MAX_BROWSER_PAUSE_S)
    fleet_factory = FleetFactory(config.fleet, config.device.topic_id, os.environ)
    with ExitStack() as on_error:
        store = on_error.enter_context(open_store(config))
        config, chosen = choose_features(config, store, tune=True)
        embedder = prepared.embedder or chosen
        pipeline = build_pipeline(config, clock, fleet_factory, store, embedder, prepared.classes)
        camera = source or _open_camera(config, clock, slot, pipeline)
        latest_frame = None if config.web.listen is None else LatestFrame()
        if marks is not None:
            marks.note("wired")
        daemon = Daemon(
            pipeline=pipeline,
            capture=Capture(
                camera,
                mailbox,
                backoff,
                reconnect=not once,
                needs_frame=needs_frame,
                end_reason=_end_reason(config.camera),
            ),
            mailbox=mailbox,
            sinks=build_sinks(
                config,
                mailbox,
                clock,
                digest=digest,
                space=pipeline.space,
                fleet=fleet_factory.build_link(pipeline.space),
                latest_frame=latest_frame,
                keyboard=keyboard,
                pin_factory=pin_factory,
                settings=settings,
                slot=slot,
            ),
            inputs=[build_board_monitor(mailbox, clock, None if once else store_path(config))],
            latest_frame=latest_frame,
            clock=clock,
            notifier=notifier,
            once=once,
            status=StatusReporter(notifier, marks, None if slot is None else slot.reason),
        )
        on_error.pop_all()
    return daemon


def build_pipeline(
    config: Config,
    clock: Clock,
    fleet_factory: FleetFactory | None = None,
    store: ExampleStore | None = None,
    embedder: Embedder | None = None,
    classes: Sequence[str] = (),
) -> Pipeline:
    """Build the pipeline, and load the stored examples into its classifiers.

    `store`, `embedder` and `classes`, the model's own class names, are those of the configuration if not
    given. The pipeline closes the store.
    """
    config = resolve_model(config)
    embedder = embedder or build_embedder(config)
    regions = build_regions(config)
    store = store or open_store(config)
    if fleet_factory is not None:
        fleet_factory.join(store)
    purge = RemovedPurge(store, clock, clock_synced)
    purge.run_if_due()
    _warn_of_other_spaces(store, embedder.space)
    objects = build_object_classifiers(config, embedder, regions)
    trainer = build_trainer(config, store, embedder, regions, classes, objects, purge)
    trainer.claim_store()
    scene_parts = None
    if objects and isinstance(embedder, TfliteEmbedder):
        from edge_daemon.app.scene_factory import build_scene_parts

        scene_parts = build_scene_parts(store, embedder, objects, regions, clock)
    return Pipeline(
        embedder=embedder,
        regions=regions,
        trainer=trainer,
        clock=clock,
        encode=partial(_encode, size=config.store.thumbnail_px),
        shrink=partial(_shrink, size=config.store.thumbnail_px),
        text_joiner=build_text_joiner(config),
        settings=build_settings(config),
        fleet=fleet_factory.build_sync(store, trainer, embedder, clock)
        if fleet_factory is not None
        else None,
        scenes=scene_parts,
        min_scale=embedder.min_scale if isinstance(embedder, TfliteEmbedder) else full_scale,
    )


def _end_reason(options: object) -> str:
    """Return why no frame follows the last one, with a remedy."""
    remedy = "; set camera.loop: true to repeat it" if isinstance(options, ReplayOptions) else ""
    return f"the source has ended{remedy}"


def _open_camera(config: Config, clock: Clock, slot: PictureSlot | None, pipeline: Pipeline) -> FrameSource:
    """Return the configured camera, which delivers the scale that the pipeline needs if it can."""
    min_scale = 1.0
    if isinstance(config.camera, PicameraOptions):
        min_scale = pipeline.min_scale(config.camera.size)
    return open_camera(config.camera, clock, slot, min_scale)


def build_trainer(
    config: Config,
    store: ExampleStore,
    embedder: Embedder,
    regions: Sequence[Region],
    classes: Sequence[str] = (),
    objects: Mapping[str, ObjectClassifier] | None = None,
    purge: RemovedPurge | None = None,
) -> Trainer:
    """Build one classifier per pool, and load the examples of the embedder's space into them.

    `objects` holds the classifiers of all pools where objects are compared too. `purge`: see `Trainer`.
    """
    pools = {region.name: region.pool for region in regions}
    if config.classifier.type == "pretrained" and not classes:
        from edge_daemon.models.class_names import load_class_names

        classes = load_class_names(model_path(config), embedder.size) or ()
    classifiers: dict[str, OpenSetClassifier] = dict(objects or {})
    if not classifiers:
        cohort = load_cohort(config)
        classifiers = {
            pool: build_classifier(config, cohort, classes) for pool in dict.fromkeys(pools.values())
        }
    peers = config.fleet.group is not None
    return Trainer(
        store,
        classifiers,
        pools,
        embedder.space,
        config.store.max_per_label,
        peers,
        boot_id(),
        objects=objects,
        label_uses=label_uses(config.buttons),
        purge=purge,
    )


def build_object_classifiers(
    config: Config, embedder: Embedder, regions: Sequence[Region]
) -> dict[str, ObjectClassifier]:
    """Build the classifiers that compare objects too, by pool; none where scenes are not used."""
    if not uses_scenes(config) or not isinstance(embedder, TfliteEmbedder):
        return {}
    cohort = load_cohort(config)
    pools = dict.fromkeys(region.pool for region in regions)
    return {pool: build_object_classifier(config, cohort) for pool in pools}


def _warn_of_other_spaces(store: ExampleStore, space: str) -> None:
    others = sum(count for other, count in store.spaces().items() if other != space)
    if others:
        log.warning(
            "%s taught with another model, not in use; `edge-daemon examples reembed` brings them over",
            counted(others, "example"),
        )


def _encode(image: Image, size: int) -> bytes:
    from edge_daemon.imaging.image_io import encode_jpeg  # after the first frame has its label

    return encode_jpeg(image, size)


def _shrink(image: Image, size: int) -> Image:
    from edge_daemon.imaging.image_io import scale_down

    return scale_down(image, size)
