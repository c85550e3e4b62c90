"""Compiled loops that find the k largest scores of each sample on a CPU (see `kernels` for how they run)."""

import numpy as np

from benchmark.sae.kernels import compiled

MEMBERS = 8
"""Numbers of a row whose maximum stands for all of them when the k largest are sought."""
BISECTIONS, SPARE = 24, 4
"""A bound on the k-th largest need not be tight: steps of its search at most, and how many too many end it."""


@compiled
def kth_largest(values, k):
    """Return the k-th largest of some values (k >= 1), which are reordered (quickselect)."""
    low, high, at = 0, len(values) - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if at <= j:
            high = j
        elif at >= i:
            low = i
        else:
            break
    return values[at]


@compiled
def group_maxima(row, out):
    """Write the maximum of row[g], row[g + G], row[g + 2 G], ... for each of the G groups."""
    size = len(out)
    first = row[:size]
    for g in range(size):
        out[g] = first[g]
    for start in range(size, len(row), size):
        part = row[start : start + size]
        for g in range(len(part)):
            out[g] = part[g] if part[g] > out[g] else out[g]


@compiled
def reached_by(values, k):
    """Return a threshold that at least k of the values reach, and hardly more, by bisection (vectorised counts)."""
    low = high = values[0]
    for g in range(len(values)):
        low = values[g] if values[g] < low else low
        high = values[g] if values[g] > high else high
    for _ in range(BISECTIONS):
        middle = low + (high - low) / 2
        count = 0
        for g in range(len(values)):
            count += values[g] >= middle
        if count >= k:
            low = middle
            if count <= k + SPARE:
                break
        else:
            high = middle
    return low


@compiled
def at_least(row, maxima, threshold, found):
    """Write the positions where row >= threshold, by group; returns how many."""
    count, size = 0, len(maxima)
    for g in range(size):
        if maxima[g] >= threshold:
            for j in range(g, len(row), size):
                if row[j] >= threshold:
                    found[count] = j
                    count += 1
    return count


@compiled
def kth_of_row(row, maxima, k, buffer, found):
    """Return the k-th largest number of a row, given its group maxima; `buffer` and `found` are room to work in.

    Where k maxima reach a threshold, so do k numbers of the row: it bounds the k-th largest below.
    """
    groups = len(maxima)
    if groups < k:
        for j in range(len(row)):
            buffer[j] = row[j]
        return kth_largest(buffer[: len(row)], k)
    count = at_least(row, maxima, reached_by(maxima, k), found)
    for c in range(count):
        buffer[c] = row[found[c]]
    return kth_largest(buffer[:count], k)


@compiled
def emit(scores, positions, count, threshold, values, indices):
    """Write the scores above the threshold and as many equal to it as there is room for; values end at 0 or above."""
    k, filled = len(values), 0
    for c in range(count):
        if scores[c] > threshold:
            values[filled] = scores[c] if scores[c] > 0 else 0
            indices[filled] = positions[c]
            filled += 1
    for c in range(count):
        if scores[c] == threshold and filled < k:
            values[filled] = scores[c] if scores[c] > 0 else 0
            indices[filled] = positions[c]
            filled += 1
    return filled


@compiled
def poisoned(row):
    """Return whether a row holds a number that is not finite."""
    total = row[0] * 0
    for j in range(len(row)):
        total += row[j] * 0
    return total != 0


@compiled
def spoil(values, indices):
    """Mark the codes of a sample whose scores are not finite: NaN values, which no loss survives."""
    for t in range(len(values)):
        values[t], indices[t] = np.nan, t


@compiled
def select_rows(start, stop, scores, values, indices):
    """Write the k largest ReLU(scores) of each row: scores (n, m) -> values (n, k), indices (n, k)."""
    m, k = scores.shape[1], values.shape[1]
    maxima = np.empty((m + MEMBERS - 1) // MEMBERS, scores.dtype)
    buffer, found = np.empty(m, scores.dtype), np.empty(m, np.int64)
    for n in range(start, stop):
        row = scores[n]
        if poisoned(row):
            spoil(values[n], indices[n])
            continue
        group_maxima(row, maxima)
        threshold = kth_of_row(row, maxima, k, buffer, found)
        count = at_least(row, maxima, threshold, found)
        for c in range(count):
            buffer[c] = row[found[c]]
        emit(buffer, found, count, threshold, values[n], indices[n])


@compiled
def round_rows(start, stop, rows, shift, other, out, length, error, product):
    """Round rows - shift to bfloat16 (bits in `out`); also the norms of what is kept and lost, and rows . other."""
    d = rows.shape[1]
    exact, rounded = np.empty(d, np.float32), np.empty(d, np.float32)
    bits, kept = exact.view(np.uint32), rounded.view(np.uint32)
    for n in range(start, stop):
        row, half = rows[n], out[n]
        for c in range(d):
            exact[c] = row[c] - shift[c]
        for c in range(d):
            u = bits[c]
            kept[c] = (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        for c in range(d):
            half[c] = kept[c] >> np.uint32(16)
        square, lost = np.float32(0), np.float32(0)
        for c in range(d):
            gone = exact[c] - rounded[c]
            square += rounded[c] * rounded[c]
            lost += gone * gone
        dot = 0.0
        for c in range(d):
            dot += np.float64(row[c]) * np.float64(other[c])
        length[n], error[n], product[n] = np.sqrt(square), np.sqrt(lost), dot


@compiled
def screen_rows(start, stop, halves, base, w_length, w_error, x_length, x_error, slack, x, w, bias, values, indices):
    """Write the k largest ReLU(x . w + bias) of each sample, exactly, from products known to bfloat16 precision.

    halves (n, m) are bits of bfloat16 products of rounded vectors; base (m,) is what was taken out of them before.
    |true score - approximation| <= x_error |w| + |x| w_error + slack |x| |w| + what rounding the product costs. All
    latents whose upper bound reaches the k-th largest lower bound are scored again in float32 (`bias` is b_enc); no
    other can be among the k largest. Returns how many were.
    """
    m, k, d = halves.shape[1], values.shape[1], x.shape[1]
    low, high, buffer = np.empty(m, np.float32), np.empty(m, np.float32), np.empty(m, np.float32)
    approximate = np.empty(m, np.float32)
    bits = approximate.view(np.uint32)
    groups = (m + MEMBERS - 1) // MEMBERS
    low_max, high_max = np.empty(groups, np.float32), np.empty(groups, np.float32)
    found = np.empty(m, np.int64)
    total = 0
    for n in range(start, stop):
        a, b = x_error[n] + slack * x_length[n], x_length[n]
        half = halves[n]
        for j in range(m):
            bits[j] = np.uint32(half[j]) << np.uint32(16)
        for j in range(m):
            bound = a * w_length[j] + b * w_error[j]
            bound += np.float32(0.004) * abs(approximate[j]) + np.float32(1e-6) * abs(base[j])
            score = approximate[j] + base[j]
            low[j] = score - bound
            high[j] = score + bound
        if poisoned(low):
            spoil(values[n], indices[n])
            continue
        group_maxima(low, low_max)
        group_maxima(high, high_max)
        threshold = kth_of_row(low, low_max, k, buffer, found)
        # Nothing below 0 passes the ReLU. The smallest positive number keeps latents that cannot be positive out.
        threshold = max(threshold, np.float32(1e-37))
        count = at_least(high, high_max, threshold, found)
        total += count
        sample = x[n]
        for c in range(count):
            j = found[c]
            row = w[j]
            dot = np.float32(0)
            for i in range(d):
                dot += sample[i] * row[i]
            buffer[c] = dot + bias[j]
        if count > k:
            for c in range(count):
                low[c] = buffer[c]
            threshold = kth_largest(low[:count], k)
        else:
            threshold = np.float32(-np.inf)
        filled = emit(buffer, found, count, threshold, values[n], indices[n])
        for t in range(filled, k):
            values[n, t], indices[n, t] = 0, 0
    return total
