"""Positions and rotations."""

import pytest
import torch

from presample.models.mmh_dit import rope


def test_text_ends_on_the_diagonal_just_before_the_picture():
    assert rope.text_positions(3)[0].tolist() == [[-4, -4], [-3, -3], [-2, -2], [-1, -1]]
    assert rope.text_positions(0)[0].tolist() == [[-1, -1]]
    assert not rope.text_positions(3, kind="zero").any()


def test_padding_moves_no_token():
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    places = rope.text_positions(5, mask)[..., 0]
    assert places[0, [0, 1, 2, 4]].tolist() == [-4, -3, -2, -1]
    assert places[1, 0] == -1


def test_the_picture_begins_at_zero_row_by_row():
    assert rope.image_positions(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


@pytest.mark.parametrize("e", [4, 12, 32, 192])
def test_the_product_of_query_and_key_depends_on_their_distance_alone(e):
    generator = torch.Generator().manual_seed(e)
    q, k = torch.randn(2, 1, 1, 1, e, generator=generator).double()

    def product(q_at, k_at):
        q_table, k_table = (rope.rotation_table(torch.tensor([[at]]), e, 10000.0) for at in (q_at, k_at))
        return (rope.rotate(q, q_table) * rope.rotate(k, k_table)).sum()

    near = product([2.0, 5.0], [1.0, 7.0])
    for shift in ([3.0, 0.0], [0.0, -9.0], [20.0, 30.0]):
        shifted = [[a + b for a, b in zip(place, shift, strict=True)] for place in ([2.0, 5.0], [1.0, 7.0])]
        torch.testing.assert_close(product(*shifted), near, atol=1e-4, rtol=1e-4)
    assert (product([2.0, 5.0], [1.0, 8.0]) - near).abs() > 1e-3
    assert (product([2.0, 5.0], [2.0, 7.0]) - near).abs() > 1e-3


def test_a_rotation_keeps_lengths_and_turns_the_first_half_by_rows():
    x = torch.randn(1, 1, 2, 16, generator=torch.Generator().manual_seed(0))
    rows = rope.rotate(x, rope.rotation_table(torch.tensor([[[5.0, 0.0]]]), 16, 10000.0))
    torch.testing.assert_close(rows.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rows[..., 8:], x[..., 8:])
    assert not torch.isclose(rows[..., :8], x[..., :8]).any()
