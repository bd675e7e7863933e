"""Copy pictures into a folder per label, by the examples of a configured device.

python sort_pictures.py CONFIG MODEL TARGET PICTURE...
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edge_daemon import Embedder, ExampleStore, KNNClassifier, load_config

config = load_config(sys.argv[1])
embedder = Embedder(sys.argv[2], crop=config.model.crop)
classifier = KNNClassifier(config.classifier.k, config.classifier.vote)
path = config.store.path or sys.exit("the configuration has no store.path")
Path(path).is_file() or sys.exit(f"there is no store {path}")
with ExampleStore(path) as store:
    for example in store.examples(embedder.space):
        classifier.add(example.embedding, example.label)
classifier.counts or sys.exit(f"{path} has no examples of {embedder.space}")
for picture in sys.argv[4:]:
    label = classifier.predict(embedder.embed(np.asarray(Image.open(picture).convert("RGB")))).label
    (target := Path(sys.argv[3], label)).mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, target)
