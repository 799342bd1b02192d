import pytest

from presample.models.latents import latent_shape


def test_a_cell_stands_for_eight_by_eight_pixels_and_height_comes_before_width():
    assert latent_shape(144, 112) == (16, 14, 18)
    assert latent_shape(8, 8, channels=4) == (4, 1, 1)


@pytest.mark.parametrize("size", [(100, 128), (128, 100), (0, 128), (128, -8)])
def test_sides_that_cells_do_not_fill_are_refused_with_the_size_that_was_given(size):
    with pytest.raises(ValueError, match=f"multiples of 8, got {size[0]}x{size[1]}"):
        latent_shape(*size)
