import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.encoders import selective_scan
from benchmark.encoders.selective_scan import selective_scan_fn


def by_definition(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """Return (y, last state) of Mamba's equation 2 in float64, one number at a time, and of nothing else."""
    u, delta, A, B, C = (tensor.double().numpy() for tensor in (u, delta, A, B, C))
    batch, channels, length = u.shape
    states = A.shape[1]
    y, last = np.zeros_like(u), np.zeros((batch, channels, states))

    def coefficient(given, b, d, n, t):
        if given.ndim == 2:
            return given[d, n]
        if given.ndim == 3:
            return given[b, n, t]
        return given[b, d // (channels // given.shape[1]), n, t]

    for b in range(batch):
        for d in range(channels):
            h = np.zeros(states)
            for t in range(length):
                step = delta[b, d, t] + (0.0 if delta_bias is None else float(delta_bias[d]))
                if delta_softplus:
                    step = np.logaddexp(0.0, step)
                for n in range(states):
                    h[n] = np.exp(step * A[d, n]) * h[n] + step * coefficient(B, b, d, n, t) * u[b, d, t]
                    y[b, d, t] += coefficient(C, b, d, n, t) * h[n]
                if D is not None:
                    y[b, d, t] += float(D[d]) * u[b, d, t]
                if z is not None:
                    gate = float(z[b, d, t])
                    y[b, d, t] *= gate / (1 + np.exp(-gate))
            last[b, d] = h
    return torch.from_numpy(y), torch.from_numpy(last)


def arguments(seed, batch=2, channels=4, length=5, states=3, groups_b=None, groups_c=None, dtype=torch.float64):
    """Random arguments; groups None: constant, 0: one set for all channels, otherwise that many groups."""
    noise = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=noise, dtype=torch.float64).to(dtype)

    def coefficient(groups):
        if groups is None:
            return normal(channels, states)
        return normal(batch, states, length) if groups == 0 else normal(batch, groups, states, length)

    return {
        "u": normal(batch, channels, length),
        "delta": normal(batch, channels, length).abs(),
        "A": -normal(channels, states).exp(),
        "B": coefficient(groups_b),
        "C": coefficient(groups_c),
    }


GROUPS = st.sampled_from([None, 0, 1, 2, 4])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**20),
    st.integers(1, 3),
    st.sampled_from([4, 8]),
    st.integers(1, 11),
    st.integers(1, 4),
    GROUPS,
    GROUPS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(1, 400),
)
def test_the_scan_is_mambas_recurrence_for_every_form_of_its_arguments(
    seed, batch, channels, length, states, groups_b, groups_c, skip, gate, bias, softplus, block
):
    given_ = arguments(seed, batch, channels, length, states, groups_b, groups_c)
    extra = torch.randn(channels, length, 4, generator=torch.Generator().manual_seed(seed)).double()
    options = {
        "D": extra[:, 0, 0] if skip else None,
        "z": extra[:, :, 1].expand(batch, -1, -1) if gate else None,
        "delta_bias": extra[:, 0, 2] if bias else None,
        "delta_softplus": softplus,
    }
    before = selective_scan.BLOCK_ELEMENTS["cpu"]
    selective_scan.BLOCK_ELEMENTS["cpu"] = block  # blocks of one step, of some, and of all
    try:
        y, last = selective_scan_fn(**given_, **options, return_last_state=True)
    finally:
        selective_scan.BLOCK_ELEMENTS["cpu"] = before
    expected, expected_last = by_definition(**given_, **options)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, expected_last, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("delta", [0.0, 1e-12, 50.0, 1e4], ids=str)
def test_steps_of_any_size_give_finite_exact_states(delta):
    given_ = arguments(1, groups_b=0, groups_c=0)
    given_["delta"] = torch.full_like(given_["delta"], delta)
    y, last = selective_scan_fn(**given_, return_last_state=True)
    expected, expected_last = by_definition(**given_)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, expected_last, rtol=1e-12, atol=1e-12)
    assert torch.isfinite(y).all()


def test_zero_steps_keep_the_state_and_growing_states_grow():
    given_ = arguments(2, length=6, groups_b=0, groups_c=0)
    given_["delta"][..., 3:] = 0
    _, last = selective_scan_fn(**given_, return_last_state=True)
    cut = {name: tensor[..., :3] if name != "A" else tensor for name, tensor in given_.items()}
    torch.testing.assert_close(last, selective_scan_fn(**cut, return_last_state=True)[1])
    given_["A"] = -given_["A"]
    torch.testing.assert_close(selective_scan_fn(**given_), by_definition(**given_)[0])


@pytest.mark.parametrize("length", [1, 49, 196])
def test_float32_at_mambavisions_sizes_is_as_exact_as_float32_can_be(length):
    given_ = arguments(3, batch=1, channels=20, length=length, states=8, groups_b=0, groups_c=0, dtype=torch.float32)
    given_["delta"] = given_["delta"] * 0.1
    given_["A"] = -torch.arange(1.0, 9).repeat(20, 1)
    y = selective_scan_fn(**given_)
    expected, _ = by_definition(**given_)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_computed_in_float32_and_returned_in_their_own_type(dtype):
    given_ = arguments(4, groups_b=0, groups_c=0, dtype=dtype)
    given_["A"] = given_["A"].float()  # as MambaVision passes it
    y, last = selective_scan_fn(**given_, D=torch.ones(4), return_last_state=True)
    expected, _ = by_definition(**given_, D=torch.ones(4))
    assert (y.dtype, last.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(y, expected.float().to(dtype), rtol=1e-2, atol=1e-2)


def test_gradients_are_those_of_the_recurrence():
    given_ = arguments(5, batch=1, channels=2, length=4, states=2, groups_b=0, groups_c=1)
    extra = [torch.randn(2), torch.randn(1, 2, 4), torch.randn(2)]
    inputs = [tensor.double().requires_grad_() for tensor in [*given_.values(), *extra]]
    assert torch.autograd.gradcheck(
        lambda *tensors: selective_scan_fn(*tensors, delta_softplus=True, return_last_state=True), inputs
    )


def test_a_sample_does_not_depend_on_the_others_in_its_batch():
    given_ = arguments(6, batch=5, channels=16, length=49, states=8, groups_b=0, groups_c=0, dtype=torch.float32)
    together = selective_scan_fn(**given_, delta_softplus=True)
    for i in range(5):
        alone = {name: tensor if name == "A" else tensor[i : i + 1] for name, tensor in given_.items()}
        torch.testing.assert_close(selective_scan_fn(**alone, delta_softplus=True)[0], together[i])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("delta", (2, 4, 6)), ("A", (5, 3)), ("B", (2, 4, 5)), ("C", (2, 3, 3, 5)), ("B", (1, 3, 5)), ("C", (3, 4))],
)
def test_shapes_that_do_not_fit_are_refused_with_all_of_them(name, shape):
    given_ = arguments(7, groups_b=0, groups_c=0)
    given_[name] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"do not fit.*u \(2, 4, 5\).*" + name):
        selective_scan_fn(**given_)


def test_everything_stays_on_the_inputs_device():
    # The meta device refuses tensors of another one, as a GPU would.
    given_ = {name: tensor.to("meta") for name, tensor in arguments(9, length=7, groups_b=2, groups_c=0).items()}
    y, last = selective_scan_fn(**given_, D=torch.ones(4, device="meta"), z=given_["u"], return_last_state=True)
    assert (y.device.type, y.shape, last.shape) == ("meta", (2, 4, 7), (2, 4, 3))


def test_complex_a_is_refused():
    given_ = arguments(8, groups_b=0, groups_c=0)
    given_["A"] = given_["A"].to(torch.complex128)
    with pytest.raises(ValueError, match="complex A"):
        selective_scan_fn(**given_)


def test_softplus_of_the_definition_is_torchs():
    steps = torch.linspace(-30, 60, 200, dtype=torch.float64)
    torch.testing.assert_close(F.softplus(steps), torch.logaddexp(torch.zeros_like(steps), steps), rtol=0, atol=3e-9)
