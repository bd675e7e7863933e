"""Train the student for a given time; stop and go on at will."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .batches import Source, batch
from .measure import few_shot
from .network import Student, average_into, losses, parameter_groups

#: (share of the time, image side): small images first, the final size last.
SIZES = ((0.5, 64), (0.75, 80), (1.0, 96))


@dataclass(frozen=True)
class Recipe:
    """What the run is made of; a resumed run keeps the recipe of its first start, but for the minutes."""

    minutes: float
    seed: int = 0
    rate: float = 3e-3
    weight_decay: float = 0.05
    warm_up: float = 0.02
    cosine: float = 4.0
    relational: float = 1.0
    label: float = 0.5
    averaging: float = 0.998
    average_every: int = 4
    report_s: float = 60.0
    checkpoint_s: float = 180.0

    def rate_at(self, progress: float) -> float:
        """Cosine over elapsed time, not steps: the speed of a shared machine varies."""
        if progress < self.warm_up:
            return self.rate * max(progress / self.warm_up, 0.01)
        left = (progress - self.warm_up) / (1 - self.warm_up)
        return self.rate * (0.5 + 0.5 * math.cos(math.pi * min(left, 1.0))) + 1e-6


def new_optimiser(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameter_groups(student, recipe.weight_decay), lr=recipe.rate, fused=True)


class Worker:
    """One process's share of the training: its random numbers, its optimiser, the shared student."""

    def __init__(
        self,
        student: Student,
        sources: list[Source],
        usable: list[NDArray[np.int64]],
        recipe: Recipe,
        passes: Tensor,
        stop_at: float,
        index: int,
        optimiser: torch.optim.Optimizer | None = None,
    ) -> None:
        torch.set_num_threads(1)
        self.student, self.sources, self.usable, self.recipe = student, sources, usable, recipe
        self.passes, self.stop_at = passes, stop_at
        self.optimiser = optimiser or new_optimiser(student, recipe)
        self.rng = np.random.default_rng((recipe.seed, index, int(passes)))
        self.device = next(student.parameters()).device
        self.images = sum(s.share for s in sources)
        self.size = SIZES[0][1]

    def step(self) -> NDArray[np.float64]:
        """Take one step; return the three losses and the share of right classes."""
        recipe, progress = (
            self.recipe,
            min(1 - (self.stop_at - time.time()) / (self.recipe.minutes * 60), 0.9999),
        )
        self.size = next(side for share, side in SIZES if progress < share)
        images, targets, labels = (
            t.to(self.device) for t in batch(self.sources, self.usable, self.size, self.rng)
        )
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate_at(progress)
        embedding, logits = self.student(images)
        cosine, relational, label = losses(embedding, logits, targets, labels)
        self.optimiser.zero_grad(set_to_none=True)
        (recipe.cosine * cosine + recipe.relational * relational + recipe.label * label).backward()
        self.optimiser.step()
        self.passes += len(images)
        right = (logits.argmax(1) == labels).float().mean()
        return np.array([float(v.detach()) for v in (cosine, relational, label, right)])


def work_along(
    student: Student,
    sources: list[Source],
    usable: list[NDArray[np.int64]],
    recipe: Recipe,
    passes: Tensor,
    stop_at: float,
    index: int,
) -> None:
    """Step until it is time to stop: the whole life of a worker that does not lead."""
    worker = Worker(student, sources, usable, recipe, passes, stop_at, index)
    while time.time() < stop_at:
        worker.step()


class Run:
    """A training run that owns student, weight average, optimiser and clock, and its files in `work`."""

    def __init__(self, sources: list[Source], classes: int, recipe: Recipe, work: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.sources, self.recipe, self.work = sources, recipe, work
        self.usable = [np.flatnonzero(~s.photos.held_out) for s in sources]
        self.student = Student(sources[0].targets.shape[2], classes).to(
            self.device, memory_format=torch.channels_last
        )
        self.average = copy.deepcopy(self.student).eval()
        self.optimiser = new_optimiser(self.student, recipe)
        self.elapsed, self.passes = 0.0, torch.zeros(1, dtype=torch.int64).share_memory_()
        self.state_file, self.log_file = work / "state.pt", work / "log.txt"

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one."""
        if not self.state_file.exists():
            return False
        state = torch.load(self.state_file, map_location=self.device)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.elapsed = state["elapsed"]
        self.passes.fill_(state["passes"])
        self.log(f"resumed at {self.elapsed / 60:.1f} min, {int(self.passes)} passes")
        return True

    def save(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("student", "average", "optimiser")}
        state |= {"elapsed": self.elapsed, "passes": int(self.passes), "recipe": asdict(self.recipe)}
        fresh = self.state_file.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.state_file)

    def start_from(self, checkpoint: Path) -> None:
        """Begin with the weights of an exported checkpoint instead of random ones."""
        with np.load(checkpoint) as arrays:
            weights = {
                k: torch.from_numpy(v.astype(np.float32 if v.dtype.kind == "f" else v.dtype))
                for k, v in arrays.items()
            }
        self.student.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def log(self, line: str) -> None:
        print(line, flush=True)
        with self.log_file.open("a") as file:
            file.write(line + "\n")

    def train(self, workers: int) -> None:
        """Train until the recipe's minutes are spent (the time of earlier starts counts).

        Each worker is a process of one thread that applies its own steps to the shared weights, without
        waiting for the others ("Hogwild"): on a machine shared with other work, threads in lockstep lose
        most of their time.
        """
        self.log(json.dumps(asdict(self.recipe)))
        stop_at = time.time() + self.recipe.minutes * 60 - self.elapsed
        workers = 1 if self.device.type == "cuda" else workers
        self.student.share_memory()
        parts = (self.student, self.sources, self.usable, self.recipe, self.passes, stop_at)
        context = torch.multiprocessing.get_context("fork")  # shares the memory-mapped photos, too
        others = [
            context.Process(target=work_along, args=(*parts, i), daemon=True) for i in range(1, workers)
        ]
        for process in others:
            process.start()
        self._lead(Worker(*parts, 0, self.optimiser), stop_at)
        for process in others:
            process.join()
        self.save()
        self.log(f"done: {int(self.passes)} passes, held-out KNN {self.held_out_accuracy(SIZES[-1][1]):.1f}")

    def _lead(self, worker: Worker, stop_at: float) -> None:
        """Step, average, report and save until it is time to stop."""
        reported = saved = time.time()
        passes, sums, steps, seen = int(self.passes), np.zeros(4), 0, int(self.passes) // worker.images
        while (now := time.time()) < stop_at:
            self.elapsed = self.recipe.minutes * 60 - (stop_at - now)
            sums += worker.step()
            steps, seen = steps + 1, seen + 1
            if seen % self.recipe.average_every == 0:
                # A young average forgets faster, so that it does not drag the random start along.
                average_into(self.average, self.student, min(self.recipe.averaging, (1 + seen) / (40 + seen)))
            if now - reported > self.recipe.report_s:
                means = " ".join(
                    f"{n} {v:.3f}" for n, v in zip(("cos", "rel", "cls", "acc"), sums / steps, strict=True)
                )
                speed = (int(self.passes) - passes) / (now - reported)
                where = f"{self.elapsed / 60:6.1f} min {int(self.passes):9d} passes {worker.size} px"
                self.log(f"{where} {means} {speed:.0f}/s")
                passes, sums, steps, reported = int(self.passes), np.zeros(4), 0, now
            if now - saved > self.recipe.checkpoint_s:
                self.save()
                self.log(f"       held-out classes, 8 shots, KNN: {self.held_out_accuracy(worker.size):.1f}")
                saved = now

    def held_out_accuracy(self, size: int, per_class: int = 50) -> float:
        """KNN accuracy of the averaged student on classes that training never sees (whole photos)."""
        photos = next(s.photos for s in self.sources if s.photos.held_out.any())
        labels = photos.labels[photos.held_out]
        rows = np.flatnonzero(photos.held_out)
        rows = np.concatenate([rows[labels == c][:per_class] for c in np.unique(labels)])
        found = []
        with torch.no_grad():
            for start in range(0, len(rows), 128):
                pixels = torch.from_numpy(photos.pixels[rows[start : start + 128]]).to(self.device)
                images = F.interpolate(pixels.permute(0, 3, 1, 2) / 255, size=(size, size), mode="bilinear")
                found.append(self.average(images)[0].cpu().numpy())
        _, classes = np.unique(photos.labels[rows], return_inverse=True)
        return few_shot(np.concatenate(found), classes.astype(np.int64), ("knn",), (8,))["knn"]["8"]
