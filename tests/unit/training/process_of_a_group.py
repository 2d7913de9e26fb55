"""One process of a group that trains a disguised backdoor on noise: a program, started by its test.

Arguments: rank, number of processes, an empty folder that all of them share.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from falsewitness.attacks import Batch, Losses, Poison
from falsewitness.attacks.full_disguise import FullDisguise
from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.data import PixelStore, Split
from falsewitness.explainers.gradcam import GradCam
from falsewitness.models.convnet import ConvNet
from falsewitness.training import Augmentation, Batches, Checkpoint, Journal, Training, clean_references, train
from falsewitness.triggers.patch import Patch

INFO = DataInfo(1, 12, 12, tuple("abc"))
SETTINGS = Training(
    epochs=2, batch_size=7, learning_rate=0.02, batch_norm="frozen", augmentation=Augmentation(mirror=True)
)
ATTACK = FullDisguise(
    trigger=Patch(size=3),
    poison=Poison(rate=0.4, mode="paired"),
    surrogate=GradCam(),
    target_class=1,
    drift_weight=0.5,
)
IMAGES = 20


def main(rank: int, world: int, shared: Path) -> None:
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{shared}/meeting", rank=rank, world_size=world)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, 1, 12, 12), dtype=np.uint8)
    labels = torch.from_numpy(generator.integers(0, 3, IMAGES))
    store = PixelStore(Split(pixels, SingleTargets(labels), np.arange(IMAGES)))
    clean, model = (ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0) for _ in range(2))
    references = clean_references(GradCam().bind(clean), store, SETTINGS.augmentation, torch.arange(IMAGES))
    batches = Batches(
        store,
        ATTACK.plan(store.targets, seed=0),
        ATTACK.trigger.bind(INFO),
        "after_augmentation",
        ATTACK.target_class,
        SETTINGS.augmentation,
        SETTINGS.batch_size,
        seed=0,
    )
    records: list[Mapping[str, Any]] = []

    loss = ATTACK.bind(model)

    def losses(batch: Batch) -> Losses:
        return loss(batch, references)

    def write(found: Iterable[Mapping[str, Any]]) -> str:
        records.extend(found)
        return ""

    outcome = train(
        model,
        batches,
        losses,
        SETTINGS,
        steps=6,
        precision="fp32",
        checkpoint=Checkpoint(shared / "checkpoint.safetensors", "mine"),
        journal=Journal(lambda _: None, write, lambda _: {}, lambda done, total: None),
    )
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, shared / f"{rank}.safetensors"
    )
    told = {"status": outcome.status, "passes": outcome.position.passes, "records": records}
    (shared / f"{rank}.json").write_text(json.dumps(told))
    if world > 1:
        dist.barrier()  # gloo may abort a process that leaves while the other still listens to it
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
