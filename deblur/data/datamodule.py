"""The loaders of a run."""

from collections.abc import Callable
from typing import Any, Literal

import lightning as L
from torch.utils.data import DataLoader, Dataset

from deblur.data import late
from deblur.data.crops import EpochSampler
from deblur.data.mixed import Mixed
from deblur.data.photos import Photos
from deblur.pair import Pair


class DeblurData(L.LightningDataModule):
    """Loads pairs for training, validation and testing.

    dataset: gives the data set of a split, called with root, split, crop and seed.
    crop: the side of a training crop, in pixels. workers: processes that load; None for none on
    a CPU, where they would take the cores that train, and four beside an accelerator.
    blur_on: where the blur of training photos is made, "loader" or "device" (a batch at a time);
    "auto" is the device where that is a CUDA GPU. download: fetch the data set first, see
    `deblur.data.download`.
    """

    def __init__(
        self,
        *,
        dataset: Callable[..., Dataset[Pair]],
        root: str | None,
        batch_size: int,
        crop: int,
        seed: int,
        workers: int | None = None,
        blur_on: Literal["auto", "loader", "device"] = "auto",
        download: bool = False,
    ) -> None:
        super().__init__()
        if blur_on not in ("auto", "loader", "device"):
            raise ValueError(f"blur_on must be auto, loader or device, got {blur_on}")
        if batch_size < 1 or crop < 1:
            raise ValueError(f"batch_size and crop must be positive, got {batch_size} and {crop}")
        self.dataset = dataset
        self.root = root
        self.batch_size = batch_size
        self.crop = crop
        self.seed = seed
        self.workers = workers
        self.blur_on = blur_on
        self.extra = {"download": True} if download else {}
        self.splits: dict[str, Dataset[Pair]] = {}

    def setup(self, stage: str) -> None:
        """Find the files of the stage's splits; raises where some are missing or do not match."""
        for split in {"fit": ["train", "val"], "validate": ["val"], "test": ["test"]}[stage]:
            if split not in self.splits:
                self.splits[split] = self.dataset(
                    root=self.root, split=split, crop=self.crop, seed=self.seed, **self.extra
                )

    def train_dataloader(self) -> DataLoader[Pair]:
        """Give shuffled batches; a last, smaller one is dropped (batch norm wants full ones)."""
        loader = self._loader("train", self.batch_size, shuffle=True)
        if len(loader) == 0:
            size = len(self.splits["train"])  # type: ignore[arg-type]
            raise ValueError(
                f"{size} training pairs do not fill a batch of {self.batch_size}: "
                "lower data.batch_size"
            )
        return loader

    def val_dataloader(self) -> DataLoader[Pair]:
        """Give the validation pairs, in order."""
        return self._loader("val", 4)

    def test_dataloader(self) -> DataLoader[Pair]:
        """Give the test pairs, in order, one at a time: their sizes may differ."""
        return self._loader("test", 1)

    def on_after_batch_transfer(self, batch: Pair | late.Batch, dataloader_idx: int) -> Pair:
        """Blur what the loaders left to the device."""
        if isinstance(batch, Pair):
            return batch
        dataset: Any = self.splits["train"]
        photos: Photos = dataset.photos if isinstance(dataset, Mixed) else dataset
        return late.develop(batch, photos.blur)

    def _loader(self, split: str, batch_size: int, *, shuffle: bool = False) -> DataLoader[Pair]:
        dataset: Any = self.splits[split]
        workers = self._workers()
        place = (
            {"rank": self.trainer.global_rank, "ranks": self.trainer.world_size}
            if self.trainer is not None
            else {}
        )
        sampler = EpochSampler(len(dataset), seed=self.seed, shuffle=shuffle, **place)
        if shuffle and self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)
        blurs_late = shuffle and isinstance(dataset, (Photos, Mixed)) and self._blurs_on_device()
        return DataLoader(
            late.Windows(dataset) if blurs_late else dataset,
            batch_size,
            sampler=sampler,
            collate_fn=late.collate if blurs_late else None,
            num_workers=workers,
            persistent_workers=workers > 0,
            drop_last=shuffle,
            pin_memory=self._device() == "cuda",
        )

    def _device(self) -> str:
        return "cpu" if self.trainer is None else self.trainer.strategy.root_device.type

    def _blurs_on_device(self) -> bool:
        return self.blur_on == "device" or self.blur_on == "auto" and self._device() == "cuda"

    def _workers(self) -> int:
        if self.workers is not None:
            return self.workers
        return 0 if self._device() == "cpu" else 4
