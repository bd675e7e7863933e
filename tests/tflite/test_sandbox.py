from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite import sandbox as probe_module
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.flatbuffers import root
from edge_daemon.tflite.sandbox import probe
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path

MUTATIONS = 200


def mutated(content: bytes, structure: list[int], seed: int) -> bytes:
    """Truncate (every fifth seed) or flip 1 to 32 bits, four times in five outside the large weights."""
    draw = random.Random(seed)
    if seed % 5 == 0:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(draw.choice((1, 4, 32))):
        place = draw.randrange(len(content)) if seed % 5 == 1 else draw.choice(structure)
        changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed)


def structure_of(content: bytes) -> list[int]:
    """Return the positions of all bytes except large weights."""
    weights = [buffer.vector(0, 1) for buffer in root(content).vector(4, 4).tables()]
    held = {i for w in weights if w.count > 256 for i in range(w.at, w.at + w.count)}
    return [i for i in range(len(content)) if i not in held]


def test_mutations_of_a_real_model_are_refused_or_work(tmp_path: Path) -> None:
    content = shared_path("models/mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    structure = structure_of(content)
    paths = [tmp_path / f"{seed}.tflite" for seed in range(MUTATIONS)]
    for seed, path in enumerate(paths):
        path.write_bytes(mutated(content, structure, seed))
    verdicts = probe(paths, 1, "auto", "embedding")
    assert len(verdicts) == MUTATIONS
    assert verdicts.count(None) not in (0, MUTATIONS)
    picture = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    for path, verdict in zip(paths, verdicts, strict=True):
        if verdict is None:
            vector = TfliteEmbedder(path, probe_first=False).embed(picture)
            assert float(vector @ vector) == pytest.approx(1, abs=1e-4)
        else:
            assert "\n" not in verdict
        path.unlink()


def test_a_damaged_file_is_refused_in_one_line_by_the_embedder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    path = tmp_path / "bad.tflite"
    path.write_bytes(tiny.float_classifier(channels=3, weights=np.ones((2, 7), np.float32)))
    for _ in range(2):
        with pytest.raises(ModelError, match=rf"^{path}: [^\n]+$") as caught:
            TfliteEmbedder(path, features="logits")
        assert str(caught.value).count(str(path)) == 1
    assert not (tmp_path / "cache" / "probed").exists(), "only files that passed are cached"


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashes the interpreter (SIGSEGV)"),
        ("os.abort()", "crashes the interpreter (SIGABRT)"),
        ("raise RuntimeError('no luck')", "no luck"),
        ("time.sleep(60)", "busy for over 2 s"),
    ],
)
def test_a_crashed_child_gives_a_verdict_and_the_next_file_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str, words: str
) -> None:
    """The second of three files crashes the child, in each way that a fake interpreter can."""
    stand_in = tmp_path / "python"
    stand_in.write_text(
        f"#!{sys.executable} -IS\nimport json, os, signal, sys, time\nfor line in sys.stdin:\n"
        f"    if 'killer' in line:\n        {fate}\n"
        "    print('INFO: noise')\n    print(json.dumps({'error': None}), flush=True)\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    monkeypatch.setattr(probe_module, "TIMEOUT_S", 2)
    verdicts = probe([Path("good"), Path("killer"), Path("other")], 1, "auto", "embedding")
    assert verdicts[0] is None
    assert verdicts[1] is not None
    assert words in verdicts[1]
    assert verdicts[2] is None


def test_a_path_with_a_line_break_is_one_path(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.tflite"
    path.write_bytes(tiny.float_classifier())
    assert probe([path, path], 1, "none", "logits") == [None, None]


def test_a_model_that_needs_more_memory_than_a_trial_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(tiny.float_classifier(size=1024))
    (verdict,) = probe([path], 1, "none", "embedding")
    assert verdict == "its trial needs too much memory; use a model with a smaller input"
