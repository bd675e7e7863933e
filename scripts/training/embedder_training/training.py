"""Training of the student in rounds that can be interrupted and resumed at any time.

The learning rate is constant (after a warm-up), and a moving average of the weights is what counts. From any
checkpoint a cooldown, whose learning rate falls linearly to nothing, makes a finished network ("warm-up,
stable, decay").
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import Source, batch
from .held_out import HeldOut
from .network import Student, average_into, losses, parameter_groups

#: Sides of the images before the cooldown and in it.
SIZE, LAST_SIZE = 112, 128

#: First blocks that keep their weights until the cooldown, with the stem: they take half of a step's time.
FROZEN = 7

LOSSES = ("cosine", "relational", "label")


def _multiplies_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16; without them it is 20 times slower."""
    return "bf16" in Path("/proc/cpuinfo").read_text()


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a run."""

    seed: int = 0
    rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 20_000
    weights: tuple[float, ...] = (4.0, 1.0, 0.25)
    averaging: float = 0.998
    cooldown_averaging: float = 0.98
    average_every: int = 4
    round_s: float = 240.0
    measure_every: int = 8
    bfloat16: bool = field(default_factory=_multiplies_bfloat16)

    def rate_at(self, passes: int, left: float = 1.0) -> float:
        """Return the learning rate after `passes`; `left` is the remaining share of a cooldown, 1 to 0."""
        return self.rate * min(passes / self.warm_up, 1.0) * left + 1e-6


@dataclass
class Cooldown:
    """The last `passes` of a network, from the checkpoint at `start` on."""

    start: int
    passes: int

    def left(self, passes: int) -> float:
        return max(1 - (passes - self.start) / self.passes, 0.0)


class Run:
    """A training run that owns student, weight average, optimiser and counter, and its files in `work`."""

    def __init__(
        self, sources: list[Source], held_out: list[HeldOut], student: Student, recipe: Recipe, work: Path
    ) -> None:
        self.sources, self.held_out, self.recipe, self.work = sources, held_out, recipe, work
        self.student = student.train().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student).eval()
        groups = parameter_groups(self.student, recipe.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=0.0, fused=True)
        self._allocate_moments()
        self.passes = torch.zeros(1, dtype=torch.int64)
        self.rounds = 0
        self.cooldown: Cooldown | None = None

    def _allocate_moments(self) -> None:
        """Create the state of the optimiser, so that the processes can share it."""
        for parameter in self.student.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def share_memory(self) -> None:
        self.student.share_memory()
        self.passes.share_memory_()
        for state in self.optimiser.state.values():
            for tensor in state.values():
                tensor.share_memory_()

    def resume(self, file: Path) -> bool:
        """Load a checkpoint, if there is one."""
        if not file.exists():
            return False
        state = torch.load(file, map_location="cpu", weights_only=True)
        for name in ("student", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.passes.fill_(state["passes"])
        self.rounds = state["rounds"]
        self.log({"resumed": file.name, "passes": int(self.passes)})
        return True

    def save(self, file: Path) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("student", "average", "optimiser")}
        fresh = file.with_suffix(".new")
        torch.save(state | {"passes": int(self.passes), "rounds": self.rounds}, fresh)
        fresh.replace(file)

    def log(self, entry: dict[str, object]) -> None:
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **entry})
        print(line, flush=True)
        with (self.work / "log.jsonl").open("a") as file:
            file.write(line + "\n")

    def step(self, rng: np.random.Generator) -> list[float]:
        """Take one step; return the losses and the learning rate."""
        passes = int(self.passes)
        self.student.trunk.freeze(0 if self.cooldown else FROZEN)
        images, targets, labels = batch(self.sources, self._size(), rng)
        rate = self.recipe.rate_at(passes, self.cooldown.left(passes) if self.cooldown else 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            embedding, logits = self.student(images)
        found = losses(embedding.float(), logits.float(), targets, labels)
        total: Tensor = sum(w * loss for w, loss in zip(self.recipe.weights, found, strict=True))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.optimiser.step()
        self.passes += len(images)
        return [float(loss.detach()) for loss in found]

    def train(self, workers: int, file: Path, finished: Callable[[], bool]) -> None:
        """Run rounds until `finished`, a checkpoint after each.

        Each worker is a process of one thread that applies its own steps to the shared weights, without
        waiting for the others ("Hogwild"): on a machine shared with other work, threads in lockstep lose
        most of their time.
        """
        torch.set_num_threads(1)
        self.share_memory()
        context = torch.multiprocessing.get_context("fork")  # shares photos and targets, too
        while not finished():
            for source in self.sources:
                source.refresh()
            stop_at = time.time() + self.recipe.round_s
            others = [
                context.Process(
                    target=self._follow, args=(index, os.getpid(), stop_at, finished), daemon=True
                )
                for index in range(1, workers)
            ]
            for process in others:
                process.start()
            self._lead(stop_at, finished)
            for process in others:
                process.join()
            self.rounds += 1
            self.save(file)
            if self.rounds % self.recipe.measure_every == 0 or finished():
                self.measure()

    def _size(self) -> int:
        return LAST_SIZE if self.cooldown else SIZE

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.recipe.seed, index, int(self.passes)))

    def _follow(self, index: int, parent: int, stop_at: float, finished: Callable[[], bool]) -> None:
        """Step until the round ends or its leader process has ended."""
        rng = self._rng(index)
        while time.time() < stop_at and os.getppid() == parent and not finished():
            self.step(rng)

    def _lead(self, stop_at: float, finished: Callable[[], bool]) -> None:
        """Step and average until the round ends; log it."""
        rng, started, before, sums = self._rng(0), time.time(), int(self.passes), []
        while time.time() < stop_at and not finished():
            sums.append(self.step(rng))
            seen = int(self.passes) // 256 + len(sums)
            if len(sums) % self.recipe.average_every == 0:
                average_into(self.average, self.student, self._decay(seen))
        means = dict(zip(LOSSES, np.mean(sums, axis=0).round(4).tolist(), strict=True)) if sums else {}
        speed = round((int(self.passes) - before) / (time.time() - started))
        known = sum(int(source.targets.known.sum()) for source in self.sources)
        size = self._size()
        entry = {"passes": int(self.passes), "size": size, **means, "speed": speed, "views": known}
        self.log(
            entry | ({"cooldown": round(self.cooldown.left(int(self.passes)), 3)} if self.cooldown else {})
        )

    def _decay(self, seen: int) -> float:
        """Return the decay of the weight average, whose window is about a tenth of the training so far."""
        if self.cooldown:
            return self.recipe.cooldown_averaging
        return min(self.recipe.averaging, (1 + seen) / (40 + seen))

    def measure(self) -> None:
        """Log the accuracy of the averaged student on the held-out classes."""
        started = time.time()
        found = {h.name: h.figures(lambda images: self.average(images)[0], LAST_SIZE) for h in self.held_out}
        self.log({"passes": int(self.passes), "held_out": found, "took": round(time.time() - started)})
