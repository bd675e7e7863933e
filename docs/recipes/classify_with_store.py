"""Classify pictures by the examples in a store.

python classify_with_store.py MODEL STORE PICTURE...
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edge_daemon import Embedder, ExampleStore, KNNClassifier

model, path, *pictures = sys.argv[1:]
Path(path).is_file() or sys.exit(f"there is no store {path}")
embedder = Embedder(model)
classifier = KNNClassifier(k=1)
with ExampleStore(path) as store:
    for example in store.examples(embedder.space):
        classifier.add(example.embedding, example.label)

classifier.counts or sys.exit(f"{path} has no examples of {embedder.space}")
print("examples:", classifier.counts)
for picture in pictures:
    embedding = embedder.embed(np.asarray(Image.open(picture).convert("RGB")))
    print(picture, classifier.predict(embedding).label)
