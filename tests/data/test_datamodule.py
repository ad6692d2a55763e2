from typing import Any

import pytest
import torch

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.datamodule import DeblurData
from deblur.data.photos import Photos


def data(**changes: Any) -> DeblurData:
    def dataset(**keys: Any) -> Photos:
        blur = Camera(motion=TrajectoryBlur(length=5, anxiety=0))
        return Photos(**keys, blur=blur, size=5, held_out={"crop": 32, "val": 3, "test": 3})

    arguments: dict[str, Any] = {"root": None, "batch_size": 2, "crop": 32, "seed": 0, "workers": 0}
    return DeblurData(dataset=dataset, **{**arguments, **changes})


def test_training_drops_the_last_smaller_batch_and_evaluation_keeps_it() -> None:
    module = data()
    module.setup("fit")
    module.setup("test")
    assert [len(batch.name) for batch in module.train_dataloader()] == [2, 2]
    assert sum(len(batch.name) for batch in module.val_dataloader()) == 3
    assert [len(batch.name) for batch in module.test_dataloader()] == [1, 1, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    batches = []
    for count in (0, workers):
        module = data(workers=count)
        module.setup("fit")
        loader = module.train_dataloader()
        batches.append([])
        for epoch in (3, 4):  # the same, persistent workers
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            batches[-1] += [batch.blur for batch in loader]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_more_than_there_is_in_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 6"):
        data(batch_size=6).setup("fit")


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        data(crop=0)


def test_blur_made_on_the_device_is_the_same() -> None:
    batches = []
    for where in ("loader", "device"):
        module = data(blur_on=where, workers=1)
        module.setup("fit")
        loader = module.train_dataloader()
        loader.sampler.set_epoch(2)  # type: ignore[attr-defined]
        batches.append([module.on_after_batch_transfer(batch, 0) for batch in loader])
    for one, other in zip(*batches, strict=True):
        assert list(one.name) == list(other.name)
        assert torch.equal(one.blur, other.blur)
        assert torch.equal(one.sharp, other.sharp)


def test_where_blur_is_made_is_checked() -> None:
    with pytest.raises(ValueError, match="blur_on"):
        data(blur_on="moon")
