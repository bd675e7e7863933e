"""Compare a converted TensorFlow.js model with the original in Node on the same drawings.

    python scripts/experiments/compare_tfjs.py MODEL.json [--range 1..0] [--count 200]

Needs Node and npm. The npm package @tensorflow/tfjs is installed into a temporary folder. Prints one JSON
object: top-1 agreement and the largest difference, for the float model and the one with 8-bit weights.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageDraw

from edge_daemon.imaging.input_range import parse_range
from edge_daemon.models.converter import convert, read_layers, rescaling
from edge_daemon.models.tfjs import read_tfjs_model

CALIBRATION = 300

NODE = """
const tf = require('@tensorflow/tfjs'), fs = require('fs'), path = require('path');
const [file, inputs, outputs, shape] = process.argv.slice(2);
const [count, height, width, channels] = JSON.parse(shape);
const model = JSON.parse(fs.readFileSync(file));
const read = name => fs.readFileSync(path.join(path.dirname(file), name));
const shards = model.weightsManifest.flatMap(group => group.paths).map(read);
const bytes = new Uint8Array(Buffer.concat(shards));
const handler = {load: async () => ({
  format: model.format, signature: model.signature, modelTopology: model.modelTopology,
  weightSpecs: model.weightsManifest.flatMap(g => g.weights),
  weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)})};
const raw = fs.readFileSync(inputs);
const values = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
const load = model.modelTopology.node ? tf.loadGraphModel : tf.loadLayersModel;
tf.setBackend('cpu').then(() => load(handler)).then(m => {
  const result = m.predict(tf.tensor4d(Array.from(values), [count, height, width, channels])).dataSync();
  fs.writeFileSync(outputs, Buffer.from(new Float32Array(result).buffer));
});
"""


Stroke = list[tuple[float, float]]


def _arc(x: float, y: float, radius: float) -> Stroke:
    return [(x + radius * math.sin(i / 4), y - radius * math.cos(i / 4)) for i in range(26)]


def _rays() -> list[Stroke]:
    angles = [i * math.pi / 4 for i in range(8)]
    return [[(0.65 * math.sin(a), 0.65 * math.cos(a)), (math.sin(a), math.cos(a))] for a in angles]


RUNGS: list[Stroke] = [[(-0.4, y), (0.4, y)] for y in (-0.7, -0.3, 0.1, 0.5, 0.8)]
FIGURES: list[list[Stroke]] = [
    [[(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]],  # square
    [[(0, -1), (1, 0.8), (-1, 0.8), (0, -1)]],  # triangle
    [[(math.sin(i * 2.5133), -math.cos(i * 2.5133)) for i in range(6)]],  # star
    [_arc(0, 0, 1)],  # circle
    [[(-1, 0.3), (-0.6, -0.4), (-0.2, 0.4), (0.2, -0.4), (0.6, 0.4), (1, -0.3)]],  # zigzag
    [[(-1, 0.1), (1, -0.1)]],  # line
    [[(-0.8, 1), (-0.8, -0.1), (0, -1), (0.8, -0.1), (0.8, 1), (-0.8, 1)]],  # house
    [[(-1, -0.6), (1, -0.6), (1, 0.6), (-1, 0.6), (-1, -0.6), (0, 0.1), (1, -0.6)]],  # envelope
    [[(-0.7, -1), (0.7, -1), (-0.7, 1), (0.7, 1), (-0.7, -1)]],  # hourglass
    [[(-0.4, -1), (-0.4, 1)], [(0.4, -1), (0.4, 1)], *RUNGS],  # ladder
    [[(-1, 1), (-1, 0.5), (-0.5, 0.5), (-0.5, 0), (0, 0), (0, -0.5), (0.5, -0.5), (0.5, -1)]],  # stairs
    [_arc(0, 0, 0.5), *_rays()],  # sun
    [_arc(0, 0, 1), [(0, -0.6), (0, 0), (0.4, 0.2)]],  # clock
    [_arc(-0.55, 0, 0.4), _arc(0.55, 0, 0.4), [(-0.15, 0), (0.15, 0)]],  # eyeglasses
    [[(0.3, -1), (-0.4, 0.1), (0.1, 0.1), (-0.3, 1), (0.5, -0.2), (0, -0.2), (0.3, -1)]],  # lightning
]


def draw(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Draw a doodle as a hand would: a known figure, turned, stretched and shaky; uint8 H x W x 3."""
    figure = FIGURES[rng.integers(len(FIGURES))]
    angle, shear = rng.normal(0, 0.12), rng.normal(0, 0.1)
    scale = rng.uniform(85, 115, 2)
    picture = Image.new("L", (280, 280), 255)
    pen = ImageDraw.Draw(picture)
    for stroke in figure:
        points = np.array(stroke) * scale + rng.normal(0, 4, (len(stroke), 2))
        turned = points @ np.array([[math.cos(angle), shear], [-math.sin(angle), math.cos(angle)]])
        pen.line([tuple(point) for point in (turned + 140).tolist()], fill=0, width=12, joint="curve")
    grey = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return np.repeat(grey[:, :, None], 3, axis=2)


def through_node(model: Path, inputs: np.ndarray[Any, Any], classes: int) -> np.ndarray[Any, Any]:
    """Run the original in Node; float32 N x classes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "@tensorflow/tfjs"],
            cwd=folder,
            check=True,
        )
        (Path(folder) / "run.js").write_text(NODE)
        inputs.astype("<f4").tofile(Path(folder) / "in.bin")
        shape = json.dumps(list(inputs.shape))
        command = ["node", "run.js", str(model.resolve()), "in.bin", "out.bin", shape]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return np.fromfile(Path(folder) / "out.bin", "<f4").reshape(len(inputs), classes)


def through_tflite(content: bytes, symmetric: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run our file on inputs in -1..1."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for one in symmetric:
        interpreter.set_tensor(given["index"], one.astype(np.float32)[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--range", default="1..0", type=parse_range)
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    model = read_tfjs_model(args.model)
    height, width, channels = read_layers(model)[0].input_shape
    rng = np.random.default_rng(0)
    drawings = [draw(rng, (height, width)) for _ in range(args.count + CALIBRATION)]
    symmetric = np.stack(drawings[: args.count])[..., :channels] / 127.5 - 1
    scale, offset = rescaling(args.range)
    ours = through_tflite(convert(model, args.range), symmetric)
    theirs = through_node(args.model, symmetric * scale + offset, ours.shape[1])
    small = through_tflite(convert(model, args.range, drawings[args.count :]), symmetric)
    best = theirs.argmax(axis=1)
    figures = {
        "inputs": args.count,
        "classes_seen": len(set(best.tolist())),
        "float_agreement": float((ours.argmax(axis=1) == best).mean()),
        "float_largest_difference": float(np.abs(ours - theirs).max()),
        "int8_agreement": float((small.argmax(axis=1) == best).mean()),
        "int8_largest_difference": float(np.abs(small - theirs).max()),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
