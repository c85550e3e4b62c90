"""The most similar row of every row of a decoder, in blocks."""

import numpy as np
import pytest
import torch

from benchmark.sae import decoder_structure
from benchmark.sae.decoder_structure import nearest_rows


@pytest.mark.parametrize("block", [1, 5, 16, 2048])
def test_blocks_find_the_largest_cosines_of_the_whole_matrix(block, monkeypatch):
    monkeypatch.setattr(decoder_structure, "BLOCK", block)
    rows = torch.randn(33, 7, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 9, 33)[:, None]
    cosines = torch.nn.functional.normalize(rows, dim=1) @ torch.nn.functional.normalize(rows, dim=1).T
    cosines.fill_diagonal_(-2)
    found = nearest_rows(rows)
    assert np.array_equal(found.row, cosines.argmax(1).numpy())
    np.testing.assert_allclose(found.cosine, cosines.max(1).values.numpy(), atol=1e-6)


def test_copies_are_each_others_nearest_and_opposites_are_not():
    found = nearest_rows(torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0.5]]))
    assert found.row[:2].tolist() == [1, 0] and found.cosine[:2].tolist() == [1, 1]
    assert found.cosine[2] == 0 and found.row[2] == 3


def test_rows_of_length_0_have_no_nearest_and_are_nobodys():
    found = nearest_rows(torch.tensor([[1.0, 0], [0, 0], [-1.0, -0.1]]))
    assert found.row.tolist() == [2, -1, 0] and np.isnan(found.cosine[1]) and (found.cosine[[0, 2]] < 0).all()
    alone = nearest_rows(torch.tensor([[0.0, 0], [3, 4]]))
    assert alone.row.tolist() == [-1, -1] and np.isnan(alone.cosine).all()
