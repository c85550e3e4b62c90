"""The selective scan of Mamba in plain PyTorch, for any device.

Mamba (Gu and Dao, arXiv 2312.00752, equation 2) carries a state of N numbers per channel through time,

    h_t = Abar_t h_{t-1} + Bbar_t x_t,    y_t = C_t h_t,

with Delta, B and C of every step computed from the input. Abar_t = exp(Delta_t A) is the zero-order hold of the paper's
equation 4; for Bbar_t mamba-ssm takes that equation's first-order form, Delta_t B_t, and so does this module.

The (batch, channels, L, N) tensor of all states, which the textbook form materialises, is too large for a CPU's caches
and makes the scan wait for memory. Here time is cut into blocks: what does not depend on the state is computed for a
whole block at once, the recurrence is one fused multiply-add a step, and the states of a block are read out together.
`perf/selective_scan.py` compares it with other forms.
"""

import math

import torch
import torch.nn.functional as F

BLOCK_ELEMENTS = {"cpu": 2**18}
"""Numbers in one block of states: on a CPU they should stay in its cache (2**18 float32 are 1 MB)."""
BLOCK_ELEMENTS_ELSEWHERE = 2**26
"""On an accelerator blocks are long, so that a step costs one kernel launch and little more (256 MB a tensor)."""


def selective_scan_fn(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Return y (batch, channels, L) in u's type; same arguments as mamba_ssm's function of this name, for real A.

    u, delta and z are (batch, channels, L); A is (channels, N); D and delta_bias are (channels,). B and C are each
    either constant, (channels, N), or vary with time, (batch, N, L), or (batch, G, N, L) with G groups of neighbouring
    channels. delta_bias is added to delta, then softplus is applied if `delta_softplus`; D adds D u; z multiplies the
    result by silu(z). With `return_last_state` the state after the last step, (batch, channels, N), comes second.

    Computes in float32, or in float64 if u is (mamba_ssm: always float32). Differentiable. Raises ValueError for
    complex A and for shapes that do not fit.
    """
    batch, channels, length = u.shape
    states = A.shape[-1]
    _check(u, delta, A, B, C)
    dtype = torch.promote_types(u.dtype, torch.float32)
    x, step = u.to(dtype), delta.to(dtype)
    if delta_bias is not None:
        step = step + delta_bias.to(dtype).unsqueeze(-1)
    if delta_softplus:
        step = F.softplus(step)

    # Time first, channels last (innermost, as every operation runs along them), split into groups: (L, batch, N, G, H).
    groups = math.lcm(_groups(B), _groups(C))
    split = (groups, channels // groups)
    times = step.permute(2, 0, 1).unflatten(-1, split).unsqueeze(2).contiguous()
    inputs = (step * x).permute(2, 0, 1).unflatten(-1, split).unsqueeze(2).contiguous()
    A, B, C = (_laid_out(coefficient.to(dtype), split) for coefficient in (A, B, C))

    elements = BLOCK_ELEMENTS.get(u.device.type, BLOCK_ELEMENTS_ELSEWHERE)
    block = max(1, elements // max(1, batch * channels * states))
    h = x.new_zeros(batch, states, *split)
    outputs = []
    for start in range(0, length, block):
        now = slice(start, start + block)
        decays = (times[now] * A).exp_()
        gains = inputs[now] * (B if len(B) == 1 else B[now])
        history = []
        for decay, gain in zip(decays.unbind(), gains.unbind(), strict=True):
            h = torch.addcmul(gain, decay, h)
            history.append(h)
        outputs.append((torch.stack(history) * (C if len(C) == 1 else C[now])).sum(2))
    y = torch.cat(outputs).flatten(2).permute(1, 2, 0)

    if D is not None:
        y = y + x * D.to(dtype).unsqueeze(-1)
    if z is not None:
        y = y * F.silu(z.to(dtype))
    y = y.to(u.dtype)
    return (y, h.flatten(2).transpose(1, 2)) if return_last_state else y


def _groups(coefficient: torch.Tensor) -> int:
    return coefficient.shape[1] if coefficient.dim() == 4 else 1


def _laid_out(coefficient: torch.Tensor, split: tuple[int, int]) -> torch.Tensor:
    """Return A, B or C with axes that broadcast against (L, batch, N, G, H)."""
    if coefficient.dim() == 2:
        return coefficient.T.unflatten(-1, split)[None, None].contiguous()
    if coefficient.dim() == 3:
        return coefficient.permute(2, 0, 1)[..., None, None]
    return coefficient.repeat_interleave(split[0] // coefficient.shape[1], 1).permute(3, 0, 2, 1).unsqueeze(-1)


def _check(u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> None:
    batch, channels, length = u.shape
    if A.is_complex():
        raise ValueError("selective_scan_fn: complex A is not supported; pass a real one.")
    states = A.shape[-1]
    fits = delta.shape == u.shape and A.shape == (channels, states) and length > 0
    for coefficient in (B, C):
        groups = _groups(coefficient)
        fits &= channels % max(groups, 1) == 0 and tuple(coefficient.shape) in (
            (channels, states),
            (batch, states, length),
            (batch, groups, states, length),
        )
    if not fits:
        given = {"u": u, "delta": delta, "A": A, "B": B, "C": C}
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
        raise ValueError(f"selective_scan_fn: shapes do not fit together: {shapes}.")
