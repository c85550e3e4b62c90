"""The compiled loops behind `max_correlation` on sparse features.

For one latent of the source, its co-activations with every latent of the target are N_i * k scattered additions into
one row of n numbers that stays in the cache; the row is turned into correlations and reduced to both maxima at once,
so the (m, n) matrix never exists. Everything runs without the GIL and without OpenMP: callers thread over rows.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 256
AHEAD = 12
BUCKETS = 1 << 14


@intrinsic
def prefetch(typing_context, array, row):
    """Ask for the cache lines of one row of a C-contiguous 2-D array."""

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, args[0])
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = builder.gep(builder.bitcast(array.data, byte), [builder.mul(row, stride)])
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32]), "llvm.prefetch.p0"
        )
        line = ir.Constant(context.get_value_type(types.intp), 64)
        with cgutils.for_range_slice(builder, cgutils.intp_t(0), stride, line, cgutils.intp_t) as (offset, _):
            builder.call(function, [builder.gep(start, [offset]), i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, row), codegen


@intrinsic
def fmax(typing_context, a, b):
    """maxnum without NaN handling: unlike numba's max() on floats, it vectorises."""

    def codegen(context, builder, signature, args):
        kind = ir.FloatType()
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind, kind]), "llvm.maxnum.f32"
        )
        return builder.call(function, args, fastmath=("fast",))

    return types.float32(types.float32, types.float32), codegen


@njit(nogil=True, cache=True)
def by_latent(indices, values, m):
    """Sample-major (N, k) slots -> latent-major: ptr (m + 1,), rows and vals of the live slots, samples ascending."""
    n, k = indices.shape
    ptr = np.zeros(m + 1, np.int64)
    for x in range(n):
        for t in range(k):
            if values[x, t] != 0:
                ptr[np.int64(indices[x, t]) + 1] += 1
    for j in range(m):
        ptr[j + 1] += ptr[j]
    at = ptr[:-1].copy()
    rows = np.empty(ptr[m], np.int32)
    vals = np.empty(ptr[m], np.float32)
    for x in range(n):
        for t in range(k):
            if values[x, t] != 0:
                j = np.int64(indices[x, t])
                rows[at[j]] = x
                vals[at[j]] = values[x, t]
                at[j] += 1
    return ptr, rows, vals


@njit(nogil=True, cache=True)
def two_pass_moments(ptr, vals, n):
    """Mean and variance (m,) in float64, lowest and highest live value of each latent over n samples."""
    m = len(ptr) - 1
    mean, var, low, high = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
    for i in range(m):
        count = ptr[i + 1] - ptr[i]
        if count == 0:
            continue
        total, lo, hi = 0.0, np.inf, -np.inf
        for p in range(ptr[i], ptr[i + 1]):
            v = np.float64(vals[p])
            total += v
            lo = min(lo, v)
            hi = max(hi, v)
        mu = total / n
        square = (n - count) * mu * mu
        for p in range(ptr[i], ptr[i + 1]):
            d = np.float64(vals[p]) - mu
            square += d * d
        mean[i], var[i], low[i], high[i] = mu, square / n, lo, hi
    return mean, var, low, high


@njit(nogil=True, cache=True)
def repetition(ptr, vals):
    """Sum over the distinct values of each latent of (times it occurs)^2, (m,): its count if no value repeats.

    Values are told apart by a hash, so that the result is rather too high than too low.
    """
    m = len(ptr) - 1
    out = np.zeros(m)
    owner, times = np.full(BUCKETS, -1, np.int32), np.zeros(BUCKETS, np.int32)
    bits = vals.view(np.uint32)
    for i in range(m):
        total = 0
        for p in range(ptr[i], ptr[i + 1]):
            at = np.int64((np.uint64(bits[p]) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)) >> np.uint64(18))
            if owner[at] != i:
                owner[at], times[at] = i, 0
            total += 2 * times[at] + 1
            times[at] += 1
        out[i] = total
    return out


@njit(nogil=True, fastmath=True, cache=True)
def max_rows(
    ptr, rows, vals, order, b_idx, b_val, scale_a, shift_a, scale_b, shift_b, latents,
    acc, row, row_arg, column, column_arg,
):  # fmt: skip
    """Write the row maxima of some `latents` of the source and update the column maxima with them.

    Sample x of the source is paired with the target's sample order[x], or with x where `order` is None (which numba
    compiles apart).

    r_ij = acc_ij * scale_a_i * scale_b_j - shift_a_i * shift_b_j. Strict comparison and ascending `latents` keep the
    lowest index of a tie. `acc` decides the precision of the sums; correlations are float32 either way, so that
    ties stay ties.
    """
    n, k = len(acc), b_idx.shape[1]
    last = len(rows) - 1
    for i in latents:
        sa, ha = scale_a[i], shift_a[i]
        for j in range(n):
            acc[j] = 0
        for p in range(ptr[i], ptr[i + 1]):
            x, ahead = rows[p], rows[min(p + AHEAD, last)]
            if order is not None:
                x, ahead = order[x], order[ahead]
            prefetch(b_idx, ahead)
            prefetch(b_val, ahead)
            v = acc.dtype.type(vals[p])
            for t in range(k):
                acc[b_idx[x, t]] += v * b_val[x, t]
        best, where = np.float32(-2), 0
        for start in range(0, n, BLOCK):
            # Views that start at 0: indices that numba cannot prove non-negative keep a loop from vectorising.
            r, scale, shift = acc[start : start + BLOCK], scale_b[start : start + BLOCK], shift_b[start : start + BLOCK]
            high, high_arg = column[start : start + BLOCK], column_arg[start : start + BLOCK]
            top, gain = np.float32(-2), np.float32(-2)
            for j in range(len(r)):
                c = np.float32(r[j] * sa * scale[j] - ha * shift[j])
                r[j] = c
                top = fmax(top, c)
                gain = fmax(gain, c - high[j])
            if gain > 0:  # rare: a column's maximum rises about log(m) times
                for j in range(len(r)):
                    if r[j] > high[j]:
                        high[j], high_arg[j] = r[j], i
            if top > best:
                best, where = top, start
        while acc[where] != best:
            where += 1
        row[i], row_arg[i] = best, where
