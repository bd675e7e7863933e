"""Examples at the end of `--help`, by command or by command and action; one a line."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "run": """
  edge-daemon run --config my.yaml
  edge-daemon run --keyboard cat,dog --set camera.type=v4l2 --set mqtt.host=null
""",
    "try": """
  edge-daemon try
  edge-daemon try --pictures FOLDER --keep my-examples.sqlite
""",
    "watch": """
  edge-daemon watch --set mqtt.host=broker.local --device tray-1
""",
    "classify": """
  edge-daemon classify new.jpg --explain
  edge-daemon classify new.jpg video.mp4 --store my-examples.sqlite --json
  edge-daemon classify new.jpg --model efficientnet_lite0 --topk 3
""",
    "evaluate": """
  edge-daemon evaluate DIR --shots 5,10 --report report.html
  edge-daemon evaluate DIR --classifiers knn --set classifier.k=5
  edge-daemon evaluate DIR --sessions --shots 5
""",
    "bench": """
  edge-daemon bench --frames 100
""",
    "doctor": """
  edge-daemon doctor --skip broker --skip clock
  sudo -u edge-daemon edge-daemon doctor --picture /tmp/seen.jpg --buttons 20
""",
    "examples add": """
  edge-daemon examples add cat 1.jpg 2.jpg --set store.path=my-examples.sqlite
""",
    "examples import": """
  edge-daemon examples import FOLDER --set store.path=my-examples.sqlite
  edge-daemon examples import project.tm --rename 'Class 1=cat'
""",
    "examples export": """
  edge-daemon examples export all.zip
  edge-daemon examples export FOLDER
""",
    "examples rename": """
  edge-daemon examples rename cat tomcat
""",
    "examples merge": """
  edge-daemon examples merge cat tomcat cat
""",
    "examples clear": """
  edge-daemon examples clear cat
""",
    "models use": """
  sudo edge-daemon models use efficientnet_lite0
""",
    "models pull": """
  edge-daemon models pull efficientnet_lite0
""",
    "models add": """
  edge-daemon models add birds.tflite --labels birds.txt
  edge-daemon models add https://HOST/FOLDER/model.json
""",
    "config check": """
  edge-daemon config check --config my.yaml
""",
    "config set": """
  sudo edge-daemon config set camera.type=v4l2 web.listen=8080
""",
}
