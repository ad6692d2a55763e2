import numpy as np
import pytest
import torch

from deblur.restoration.classifier import FEATURES, Classifier, Features, mean_direction
from deblur.restoration.edges import DIRECTIONS, LAGS, measure_edges
from deblur.restoration.spectra import (
    ANGLES,
    HIGHEST,
    LOWEST,
    RADII,
    SIDE,
    choose_windows,
    cut_windows,
    measure_spectra,
)


@pytest.mark.parametrize("side", [SIDE, 200])
@pytest.mark.parametrize("angle", [0, 45, 90, 150])
def test_a_wave_is_where_its_angle_and_frequency_say(angle: int, side: int) -> None:
    frequency = 0.125
    y, x = np.mgrid[:side, :side]
    up = np.radians(angle)
    wave = np.cos(2 * np.pi * frequency * (x * np.cos(up) - y * np.sin(up)))
    spectra = measure_spectra(torch.from_numpy(wave.astype(np.float32))[None] / 2 + 0.5)
    assert spectra.shape == (1, ANGLES, RADII)
    place = int(spectra[0].argmax())
    assert place // RADII == round(angle / 180 * ANGLES) % ANGLES
    found = LOWEST * (HIGHEST / LOWEST) ** (place % RADII / (RADII - 1))
    assert found == pytest.approx(frequency, rel=0.08)


def test_windows_are_where_the_detail_is() -> None:
    luma = np.full((900, 1200), 100, np.uint8)
    luma[600:850, 900:1150] = np.random.default_rng(0).integers(0, 256, (250, 250))
    (top, left), *others = choose_windows(luma)
    assert abs(top - 600) <= 64 and abs(left - 900) <= 64
    places = [(top, left), *others]
    for one in range(len(places)):
        for other in places[:one]:
            assert max(abs(a - b) for a, b in zip(places[one], other)) >= SIDE // 2 - 64


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 300), (5, 300), (63, 63), (64, 64), (100, 90), (257, 2000)]
)
def test_pictures_of_any_size_have_windows(size: tuple[int, int]) -> None:
    windows = cut_windows(np.zeros(size, np.uint8))
    assert len(windows) >= 1 and windows.shape[1:] == (min(SIDE, *size),) * 2
    assert measure_spectra(windows).isfinite().all()


def test_a_ramp_is_as_wide_as_it_is() -> None:
    luma = np.clip((np.arange(256) - 120) * 20, 0, 200).astype(np.uint8)  # ten pixels wide
    edges = measure_edges([np.tile(luma, (256, 1))])
    assert edges.shape == (1, DIRECTIONS, len(LAGS), 3)
    across, along = edges[0, 0, :, -1], edges[0, DIRECTIONS // 2, :, -1]
    assert (across.diff() >= 0).all() and across[LAGS.index(12)] == across[-1]
    assert across[LAGS.index(6)] < across[-1] - 0.5
    assert (along == 0).all()


def test_a_turned_picture_is_classified_alike() -> None:
    torch.manual_seed(0)
    classifier = Classifier().eval()
    spectra, edges = torch.rand(1, 6, ANGLES, RADII), torch.rand(1, 9, DIRECTIONS, len(LAGS))
    turns = 4  # of the finer of the two
    turned = Features(spectra.roll(turns, 2), edges.roll(turns // 2, 2))
    with torch.no_grad():
        before, after = classifier(Features(spectra, edges)), classifier(turned)
    torch.testing.assert_close(after.shares, before.shares)
    torch.testing.assert_close(after.lengths, before.lengths)
    apart = float(after.directions - before.directions) % 180
    assert apart == pytest.approx(turns * 180 / ANGLES, abs=0.1)
    assert classifier.mean.shape == (FEATURES,)


def test_directions_near_half_a_turn_have_a_mean() -> None:
    logits = torch.full((1, ANGLES), -20.0)
    logits[0, [0, -1]] = 5.0
    assert float(mean_direction(logits)) == pytest.approx(180 - 90 / ANGLES, abs=0.1)
