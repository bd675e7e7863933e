"""Classify a picture by the examples in a folder of label folders.

python name_picture.py MODEL FOLDER PICTURE
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edge_daemon import Embedder, KNNClassifier

model, folder, picture = sys.argv[1:]
embedder = Embedder(model)
classifier = KNNClassifier(k=1)
for path in sorted(Path(folder).glob("[!.]*/[!.]*")):
    if path.suffix.lower() in Image.registered_extensions():
        classifier.add(embedder.embed(np.asarray(Image.open(path).convert("RGB"))), path.parent.name)

classifier.counts or sys.exit(f"{folder} has no pictures in label folders")
prediction = classifier.predict(embedder.embed(np.asarray(Image.open(picture).convert("RGB"))))
print(f"{prediction.label}, similarity {prediction.similarity:.2f}")
