"""The listings say what is here, how large the rest is, and where that is not known."""

import pytest

from benchmark.catalog import DatasetCard, EncoderCard
from benchmark.jobs import listing
from benchmark.jobs.configs import DatasetsConfig, EncodersConfig, SuitesConfig


def encoder(**fields):
    wanted = {"library": "timm", "source": "org/x", "modality": "image", "kind": "vision", "token": "cls"}
    return EncoderCard(**{**wanted, **fields})


def listed(capsys, name):
    """The cells of a line, without the empty ones."""
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name} "))
    return [cell for cell in line.split("  ") if cell]


@pytest.mark.parametrize(("megabytes", "shown"), [(0, "?"), (605, "605 MB"), (1711, "1.7 GB")])
def test_the_download_of_an_encoder_that_is_not_here_is_its_size_or_unknown(capsys, monkeypatch, megabytes, shown):
    monkeypatch.setattr(listing, "cards", lambda kind: {"far": encoder(name="far", download_mb=megabytes)})
    listing.encoders(EncodersConfig())
    cells = [cell.strip() for cell in listed(capsys, "far")]
    assert cells[cells.index("cls") + 1 :][:2] == [shown, "no"]


def test_an_encoder_that_is_here_has_no_unknown_download(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(listing, "cards", lambda kind: {"near": encoder(name="near", source=str(tmp_path))})
    listing.encoders(EncodersConfig())
    assert "?" not in "".join(listed(capsys, "near"))


def test_the_download_of_a_dataset_that_is_not_here_may_be_unknown(capsys, monkeypatch):
    found = {
        "far": DatasetCard(name="far", kind="hub", source="org/x"),
        "drawn": DatasetCard(name="drawn", kind="scenes"),
    }
    monkeypatch.setattr(listing, "cards", lambda kind: found)
    listing.datasets(DatasetsConfig())
    out = capsys.readouterr().out
    (far,) = (line.split() for line in out.splitlines() if line.startswith("far "))
    (drawn,) = (line.split() for line in out.splitlines() if line.startswith("drawn "))
    assert far[2:4] == ["?", "no"] and "?" not in drawn


def test_every_card_that_ships_is_listed(capsys):
    for run in (listing.encoders(EncodersConfig()), listing.datasets(DatasetsConfig()), listing.suites(SuitesConfig())):
        assert run == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in ("clip-b-image", "mambavision", "coco", "paper", "scenes"))
