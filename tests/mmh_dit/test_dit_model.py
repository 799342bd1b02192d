"""The model: against the formulas written out, and what must and must not change its answer."""

import pytest
import torch
from dit_for_tests import SMALL, inputs, small_model, written_out

from presample.models.mmh_dit.config import FULL, MMHDiTConfig, head_allocation
from presample.models.mmh_dit.layers import sdpa
from presample.models.mmh_dit.model import Hooks, MMHDiT, init_weights, rope, to_patches


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.mark.parametrize("other", [{}, {"text_pos": "zero"}, {"qk_norm": False}, {"rope_theta": 500.0}])
def test_the_answer_is_that_of_the_formulas_written_out(other):
    config = MMHDiTConfig.from_dict({**SMALL.to_dict(), **other})
    model = small_model(config).double()
    x, t, text = inputs(1, 3, 4, 6)
    found = model(x.double(), t.double(), text.double())[0]
    torch.testing.assert_close(
        found, written_out(model, x[0], t.float().item(), text[0]), atol=3e-5, rtol=3e-5
    )


@pytest.mark.parametrize(("h", "w"), [(2, 2), (16, 16), (6, 10), (7, 9), (1, 1), (13, 4)])
def test_a_velocity_has_the_shape_of_its_latent(model, h, w):
    x, t, text = inputs(3, 4, h, w)
    found = model(x, t, text)
    assert found.shape == x.shape
    assert found.isfinite().all()


def test_a_patch_that_the_size_cuts_is_filled_with_its_edge(model):
    x, t, text = inputs(1, 4, 5, 6)
    whole = torch.cat((x, x[:, :, -1:]), 2)
    torch.testing.assert_close(model(x, t, text), model(whole, t, text)[:, :, :5])


@pytest.mark.parametrize("kind", ["mmh", "uniform", "reversed"])
@pytest.mark.parametrize("counts", [(2, 4, 6, 12), (4,), (12, 2)])
def test_every_list_of_heads_has_the_same_parameters(kind, counts):
    config = MMHDiTConfig(hidden=48, heads=head_allocation(kind, 6, counts))
    model = MMHDiT(config, device="meta")
    assert sum(weight.numel() for weight in model.parameters()) == config.parameters
    assert config.parameters == MMHDiTConfig(hidden=48, heads=(1,) * 6).parameters
    one, other = MMHDiT(config), MMHDiT(MMHDiTConfig(hidden=48, heads=(1,) * 6))
    for each in (one, other):
        init_weights(each, torch.Generator().manual_seed(3))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


def test_the_full_size_has_as_many_weights_as_the_config_says():
    model = MMHDiT(FULL, device="meta")
    assert sum(weight.numel() for weight in model.parameters()) == FULL.parameters


def test_what_stands_in_padding_changes_nothing(model):
    x, t, text = inputs(2, 6)
    mask = torch.tensor([[1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 0]], dtype=torch.bool)
    found = model(x, t, text, mask)
    for filling in (0.0, 1e4, float("nan"), float("inf")):
        other = text.masked_fill(~mask[..., None], filling)
        assert torch.equal(model(x, t, other, mask), found)
    assert not torch.allclose(model(x, t, text + 1, mask), found, atol=1e-3)


def test_a_padded_text_says_what_it_says_alone(model):
    x, t, text = inputs(2, 6)
    mask = torch.tensor([[1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    found = model(x, t, text, mask)
    torch.testing.assert_close(found[:1], model(x[:1], t[:1], text[:1, [0, 1, 3]]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1:], model(x[1:], t[1:]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x, t, text[:, :0]), model(x, t), atol=0, rtol=0)


def test_without_padding_attention_gets_no_mask(model):
    x, t, text = inputs(2, 5)
    masks = []

    def attention(q, k, v, *, mask):
        masks.append(mask)
        return sdpa(q, k, v, mask=mask)

    for mask in (None, torch.ones(2, 5), torch.tensor([[1, 1, 1, 0, 0]] * 2)):
        model(x, t, text, mask, hooks=Hooks(attention=attention))
    assert masks == [None] * 9
    model(x, t, text, torch.tensor([[1] * 5, [1] * 4 + [0]]), hooks=Hooks(attention=attention))
    assert masks[-1].shape == (2, 1, 1, 1 + 5 + 12)
    assert (masks[-1] != 0).nonzero().tolist() == [[1, 0, 0, 5]]


def test_image_tokens_moved_with_their_positions_are_answered_in_their_new_order(model):
    x, _, text = inputs(1, 4)
    tokens, _ = model.embed_image(x)
    words = model.embed_text(text, None, tokens)
    places = rope.image_positions(3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    cond = torch.randn(1, SMALL.cond_dim, generator=torch.Generator().manual_seed(1))

    def run(tokens, places):
        positions = rope.joint_positions(rope.text_positions(4), places)
        return model.run_blocks(torch.cat((words, tokens), 1), cond, positions, None, 5, Hooks())[:, 5:]

    whole = run(tokens, places)
    torch.testing.assert_close(run(tokens[:, order], places[order]), whole[:, order], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(run(tokens[:, order], places), whole[:, order], atol=1e-3)


def test_patches_are_channel_major_and_row_by_row():
    x = torch.arange(16 * 4 * 6).view(1, 16, 4, 6)
    patches, grid = to_patches(x.float(), 2)
    assert grid == (2, 3)
    for c, dy, dx, row, column in [(0, 0, 0, 0, 0), (3, 1, 0, 1, 2), (15, 1, 1, 0, 1)]:
        assert patches[0, row * 3 + column, c * 4 + dy * 2 + dx] == x[0, c, 2 * row + dy, 2 * column + dx]


@pytest.mark.parametrize("gate", [0.0, 0.3])
def test_a_new_model_answers_zero_whatever_its_gates(gate):
    config = MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=20, gate_init=gate)
    model = MMHDiT(config)
    init_weights(model, torch.Generator().manual_seed(0))
    x, t, text = inputs(config=config)
    assert not model(x, t, text).any()
    gates = model.blocks[0].modulation.bias.view(4, -1)
    assert (gates[[1, 3]] == gate).all()
    assert not gates[[0, 2]].any()


def test_blocks_with_closed_gates_pass_tokens_on(model):
    config = MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=20)
    model = MMHDiT(config)
    init_weights(model, torch.Generator().manual_seed(0))
    x, t, text = inputs(config=config)
    seen = []

    def block(index, state, run):
        seen.append(state.tokens)
        return run(state)

    model(x, t, text, hooks=Hooks(block=block))
    assert torch.equal(*seen)


def test_first_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    first, second = (small_model(seed=4) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_first_matrices_are_uniform_with_variance_2_over_in_and_out():
    model = MMHDiT(SMALL).requires_grad_(False)
    init_weights(model, torch.Generator().manual_seed(0))
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and weight.any():
            std = 0.02 if name == "bos.weight" else (2 / sum(weight.shape)) ** 0.5
            assert weight.abs().max() == pytest.approx(std * 3**0.5, rel=0.05), name
            assert weight.std() == pytest.approx(std, rel=0.05 if len(weight) > 1 else 0.2), name


@pytest.mark.parametrize("text", [None, torch.zeros(2, 5, SMALL.text_dim)])
def test_every_weight_has_a_gradient_where_no_picture_has_a_text(text):
    """Processes that train together wait for all of them."""
    model = small_model().requires_grad_(True)
    x, t, _ = inputs()
    mask = None if text is None else torch.zeros(text.shape[:2], dtype=torch.bool)
    found = model.train()(x, t, text, mask)
    torch.testing.assert_close(found, model.eval()(x, t), rtol=0, atol=0)
    found.square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert not any(weight.grad.any() for weight in model.text_in.parameters())


def test_gradients_are_the_same_with_checkpointing():
    x, t, text = inputs()
    found = []
    for checkpointing in (False, True):
        model = small_model().requires_grad_(True)
        model.gradient_checkpointing = checkpointing
        model(x, t, text).square().mean().backward()
        assert all(weight.grad.any() for weight in model.parameters())
        found.append([weight.grad for weight in model.parameters()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_checkpointing_keeps_less_for_the_backward_pass():
    x, t, text = inputs()
    kept = []
    for checkpointing in (False, True):
        model = small_model().requires_grad_(True)
        model.gradient_checkpointing = checkpointing
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, s=sizes: s.append(x.nbytes) or x, lambda x: x
        ):
            model(x, t, text)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_torchs_own_layers_give_the_same_answer(model):
    with torch.random.fork_rng(devices=[]):
        other = MMHDiT(SMALL, operations=torch.nn)
    other.load_state_dict(model.state_dict())
    x, t, text = inputs()
    torch.testing.assert_close(other(x, t, text), model(x, t, text), atol=1e-5, rtol=1e-5)


def test_bfloat16_stays_near_float32(model):
    x, t, text = inputs()
    whole = model(x, t, text)
    half = small_model(dtype=torch.bfloat16)(x.bfloat16(), t, text)
    assert half.dtype == torch.bfloat16
    assert (half.float() - whole).norm() < 0.03 * whole.norm()


def test_norms_and_rotations_of_bfloat16_are_computed_in_float32():
    from presample.models.mmh_dit.layers import rms

    x = 300 * torch.randn(4, 96, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-6).sqrt()
    assert torch.equal(rms(x, 1e-6), exact.float().bfloat16())
    table = rope.rotation_table(torch.tensor([[[1000.0, 3.0]]]), 96, 10000.0)
    turned = rope.rotate(x.view(1, 1, 4, 96), table)
    assert torch.equal(turned, rope.rotate(x.view(1, 1, 4, 96).float(), table).bfloat16())


def test_a_hook_can_stand_in_for_a_block(model):
    x, t, text = inputs()
    seen = []

    def skip_the_second(index, state, run):
        seen.append((index, state.image_start, state.table.shape[-1] * 2))
        return state.tokens if index == 1 else run(state)

    found = model(x, t, text, hooks=Hooks(block=skip_the_second))
    assert seen == [(0, 6, 24), (1, 6, 12), (2, 6, 4)]
    shorter = small_model()
    shorter.blocks[1].forward = lambda state, attention: state.tokens
    torch.testing.assert_close(found, shorter(x, t, text))
    assert not torch.allclose(found, model(x, t, text))


def test_a_stretch_moves_the_image_and_not_the_text(model):
    x, t, text = inputs()
    plain = model(x, t, text)
    moved = Hooks(stretch=rope.Stretch(shift=(3.0, 0.0)))
    assert not torch.allclose(model(x, t, text, hooks=moved), plain)
    assert rope.image_positions(2, 2, stretch=rope.Stretch((0.5, 2.0), (1.0, -1.0))).tolist() == [
        [1.0, -1.0],
        [1.0, 1.0],
        [1.5, -1.0],
        [1.5, 1.0],
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": (2, 4, 6, 8)}, "autoencoder with 16 channels"),
        ({"x": (2, 16, 6)}, "must be a latent"),
        ({"t": (3,)}, "one time for each of 2"),
        ({"text": (2, 5, 21)}, "text encoder that the model was trained with"),
        ({"text": (1, 5, 20)}, "text must be"),
        ({"mask": (2, 4)}, "mask must be"),
    ],
)
def test_shapes_that_do_not_fit_are_named(model, change, said):
    shapes = {"x": (2, 16, 6, 8), "t": (2,), "text": (2, 5, 20), "mask": (2, 5), **change}
    given = {name: torch.ones(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=said):
        model(given["x"], given["t"], given["text"], given["mask"].bool())
