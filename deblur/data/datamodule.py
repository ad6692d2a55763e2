"""The Lightning data module: the loaders of a run."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import lightning as L
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deblur.data import device_blur
from deblur.data.crops import LEAST, MOST, EpochSampler
from deblur.data.mixed import Mixed
from deblur.data.photos import Photos
from deblur.data.unreadable_files import Choice, explain, make_notes, start_worker
from deblur.pair import Pair


class DeblurData(L.LightningDataModule):
    """Loads pairs for training, validation and testing.

    Args:
        dataset: Returns the data set of a split; called with root, split, crop and seed, and with
            download=True and unreadable="skip" where these are set.
        root: The data set's folder; None for data sets that need none.
        batch_size: Pairs in a step; several devices share them in equal parts.
        crop: The side of a training crop, in pixels.
        seed: Determines the crops, the blur and the order of the samples.
        workers: The number of loading processes. None is 0 on a CPU, where they would take cores
            from the training, and 4 with an accelerator.
        blur_on: Where training photos are blurred: "loader", "device" (a batch at a time), or
            "auto", which is the device if that is a CUDA GPU.
        download: Fetch the data set first, see `deblur.data.download`.
        unreadable: Whether a picture that cannot be read ends the run ("stop") or is left out
            ("skip"); both name it.

    Raises:
        ValueError: A value is out of its range, a choice is not listed, `dataset` does not accept
            what it is called with, or `root` is None and `dataset` requires one.
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
        unreadable: Choice = "stop",
    ) -> None:
        super().__init__()
        if blur_on not in ("auto", "loader", "device"):
            raise ValueError(f"blur_on must be auto, loader or device, got {blur_on}")
        if unreadable not in ("stop", "skip"):
            raise ValueError(f"unreadable must be stop or skip, got {unreadable}")
        if batch_size < 1 or not LEAST <= crop <= MOST:
            raise ValueError(
                f"batch_size must be positive and crop {LEAST} to {MOST}, got {batch_size} and "
                f"{crop}"
            )
        if seed < 0 or (workers or 0) < 0:
            raise ValueError(f"seed and workers must not be negative, got {seed} and {workers}")
        extra: dict[str, Any] = {"download": True} if download else {}
        if unreadable == "skip":
            extra["unreadable"] = unreadable
        signature = inspect.signature(dataset)
        try:
            signature.bind(root=root, split="train", crop=crop, seed=seed, **extra)
        except TypeError as error:
            raise ValueError(f"dataset: {error}") from error
        if root is None and getattr(signature.parameters.get("root"), "annotation", None) is str:
            raise ValueError("root is null, expected a folder: data.root=FOLDER")
        self.dataset = dataset
        self.root = root
        self.batch_size = batch_size
        self.crop = crop
        self.seed = seed
        self.workers = workers
        self.blur_on = blur_on
        self.extra = extra
        self.notes: list[Tensor] = []
        self.splits: dict[str, Dataset[Pair]] = {}

    def setup(self, stage: str) -> None:
        """Find the files of the stage's splits; raise if some are missing or do not match.

        Before a training all pictures are decoded, see `deblur.data.decoding`.
        """
        for split in {"fit": ["train", "val"], "validate": ["val"], "test": ["test"]}[stage]:
            if split not in self.splits:
                self.splits[split] = self.dataset(
                    root=self.root, split=split, crop=self.crop, seed=self.seed, **self.extra
                )
                if stage == "fit":
                    # A user's own data set that reads no files has nothing to decode.
                    getattr(self.splits[split], "decode_all", lambda: None)()
        if stage == "fit":
            self._check_batch(self.splits["train"])

    def train_dataloader(self) -> DataLoader[Pair]:
        """Return shuffled batches; drop a smaller last one (batch norm requires full batches)."""
        ranks = 1 if self.trainer is None else self.trainer.world_size
        return self._loader("train", self.batch_size // ranks, shuffle=True)

    def val_dataloader(self) -> DataLoader[Pair]:
        """Return the validation pairs, in order."""
        return self._loader("val", 4)

    def test_dataloader(self) -> DataLoader[Pair]:
        """Return the test pairs, in order, one at a time: their sizes may differ."""
        return self._loader("test", 1)

    def on_after_batch_transfer(self, batch: Pair | device_blur.Batch, dataloader_idx: int) -> Pair:
        """Blur a batch that the loaders left to the device; return others as they are."""
        if isinstance(batch, Pair):
            return batch
        dataset: Any = self.splits["train"]
        photos: Photos = dataset.photos if isinstance(dataset, Mixed) else dataset
        return device_blur.develop(batch, photos.blur)

    def check_ranks(self, ranks: int) -> None:
        """Raise ValueError if `ranks` devices cannot share a batch, or the validation pairs."""
        if self.batch_size % ranks:
            raise ValueError(
                f"data.batch_size={self.batch_size} is shared by all devices: expected a multiple "
                f"of their number, {ranks}"
            )
        pairs: Any = self.splits["val"]
        if len(pairs) < ranks:
            raise ValueError(f"{len(pairs)} validation pairs are too few for {ranks} devices")

    def explain(self, error: BaseException) -> str:
        """Return one line that names the file that ended a run; "" if no file was the cause."""
        return explain(error, self.notes)

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
            # Lightning sets the epoch too late: after it has fetched the first batches.
            sampler.set_epoch(self.trainer.current_epoch)
            loop = self.trainer.fit_loop
            if loop.restarting:  # resumes within an epoch
                sampler.start = loop.epoch_loop.batch_progress.current.completed * batch_size
        notes = make_notes(workers)
        self.notes.append(notes)
        blurs_late = shuffle and isinstance(dataset, (Photos, Mixed)) and self._blurs_on_device()
        return DataLoader(
            device_blur.Windows(dataset) if blurs_late else dataset,
            batch_size,
            sampler=sampler,
            collate_fn=device_blur.collate if blurs_late else None,
            num_workers=workers,
            worker_init_fn=partial(start_worker, notes) if workers else None,
            persistent_workers=workers > 0,
            drop_last=shuffle,
            pin_memory=self._device() == "cuda",
        )

    def _check_batch(self, pairs: Any) -> None:
        if len(pairs) < self.batch_size:
            raise ValueError(
                f"{len(pairs)} training pairs do not fill a batch of {self.batch_size}: "
                "lower data.batch_size"
            )

    def _device(self) -> str:
        return "cpu" if self.trainer is None else self.trainer.strategy.root_device.type

    def _blurs_on_device(self) -> bool:
        return self.blur_on == "device" or self.blur_on == "auto" and self._device() == "cuda"

    def _workers(self) -> int:
        if self.workers is not None:
            return self.workers
        return 0 if self._device() == "cpu" else 4
