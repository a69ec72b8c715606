"""What fused_blocks.py and fused_residuals.py have compiled: loops over float32, or over bfloat16's bits as uint16.

Arrays are (images, height, width, channels). Channels are the inner loops, of which the compiler makes vector
instructions. Threads share out whole images, so that every sum has its order whatever their number. All is computed in
float32: in bfloat16 a kernel gives what it gives in float32, rounded.
"""

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

POSITIVE = np.uint8(4)  # in `chosen`, beside the place 0 to 3 in its window: LeakyReLU leaves the value as it is
PLACE = np.uint8(3)
NOWHERE = np.uint8(255)  # a place that is none


# contract: a * b + c may be rounded once; sums keep their order
OPTIONS = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
# what numba need not look for in the loop that threads share, where there is nothing but a call
NOT_THERE = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
PARALLEL = dict.fromkeys(NOT_THERE, False)


def of_image(kernel):
    """Compile one image's part of a kernel, apart from the loop that threads share: so all is compiled sooner."""
    return njit(no_cpython_wrapper=True, **OPTIONS)(kernel)


def compiled(kernel):
    """Compile a kernel when it is first called, and keep what comes of it for the next process."""
    try:
        return njit(cache=True, parallel=PARALLEL, **OPTIONS)(kernel)
    except RuntimeError:  # there is no place to keep it, for all is read-only
        return njit(parallel=PARALLEL, **OPTIONS)(kernel)


def _widened(value):
    """Return the float32 that a value of an array stands for."""


@overload(_widened, inline="always")
def _widened_by_type(value):
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


def _rounded(value, array):
    """Return a float32 as an array keeps it: as it is, or the bfloat16 next to it; halfway, the even one."""


@overload(_rounded, inline="always")
def _rounded_by_type(value, array):
    if array.dtype == types.uint16:
        return lambda value, array: _rounded_bits(value)
    return lambda value, array: value


@njit(inline="always")
def _rounded_bits(value):
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@of_image
def _sum_moments(n, features, near, sums):
    _, height, width, channels = features.shape
    first, second = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _widened(features[n, h, w, c]) - near[c]
                first[c] += value
                second[c] += value * value
    for c in range(channels):
        sums[n, 0, c] = first[c]
        sums[n, 1, c] = second[c]


@compiled
def sum_moments(features, near, sums):
    """Fill sums (N, 2, C) with each channel's differences from `near` (C,), and their squares, over each image."""
    for n in prange(len(features)):
        _sum_moments(np.int64(n), features, near, sums)


@of_image
def _pool(n, features, scale, offset, slope, normal, kept, chosen):
    _, height, width, channels = normal.shape
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                # written out, for in a loop over places the compiler would not take several channels at once
                best = features[n, 2 * h, 2 * w, c]
                highest, place = _widened(best) * scale[c] + offset[c], np.uint8(0)
                right = features[n, 2 * h, 2 * w + 1, c]
                value = _widened(right) * scale[c] + offset[c]
                if value > highest:
                    best, highest, place = right, value, np.uint8(1)
                below = features[n, 2 * h + 1, 2 * w, c]
                value = _widened(below) * scale[c] + offset[c]
                if value > highest:
                    best, highest, place = below, value, np.uint8(2)
                across = features[n, 2 * h + 1, 2 * w + 1, c]
                value = _widened(across) * scale[c] + offset[c]
                if value > highest:
                    best, highest, place = across, value, np.uint8(3)
                if highest > 0:
                    place = np.uint8(place | POSITIVE)
                else:
                    highest = highest * slope
                normal[n, h, w, c] = _rounded(highest, normal)
                kept[n, h, w, c] = best
                chosen[n, h, w, c] = place


@compiled
def pool(features, scale, offset, slope, normal, kept, chosen):
    """Give the highest of each window, normalised and activated, as it was (`kept`), and its place (`chosen`)."""
    for n in prange(len(features)):
        _pool(np.int64(n), features, scale, offset, slope, normal, kept, chosen)


@of_image
def _sum_gradients(n, gradient, kept, chosen, mean, slope, sums):
    _, height, width, channels = gradient.shape
    plain, weighted = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _widened(gradient[n, h, w, c])
                if chosen[n, h, w, c] < POSITIVE:
                    value = value * slope
                plain[c] += value
                weighted[c] += value * (_widened(kept[n, h, w, c]) - mean[c])
    for c in range(channels):
        sums[n, 0, c] = plain[c]
        sums[n, 1, c] = weighted[c]


@compiled
def sum_gradients(gradient, kept, chosen, mean, slope, sums):
    """Fill sums (N, 2, C) with what reaches each channel through the activation, and that times kept - mean."""
    for n in prange(len(gradient)):
        _sum_gradients(np.int64(n), gradient, kept, chosen, mean, slope, sums)


@of_image
def _spread_gradient(n, features, gradient, chosen, scale, constant, linear, slope, result):
    _, height, width, channels = features.shape
    direct, places = np.empty(channels, np.float32), np.empty(channels, np.uint8)
    for h in range((height + 1) // 2):
        for w in range((width + 1) // 2):
            in_window = 2 * h + 1 < height and 2 * w + 1 < width  # an odd last row or column is in none
            for c in range(channels):
                if in_window:
                    value = _widened(gradient[n, h, w, c]) * scale[c]
                    direct[c] = value if chosen[n, h, w, c] >= POSITIVE else value * slope
                    places[c] = chosen[n, h, w, c] & PLACE
                else:
                    places[c] = NOWHERE
            for place in range(4):
                y, x = 2 * h + (place >> 1), 2 * w + (place & 1)
                if y < height and x < width:
                    for c in range(channels):
                        value = constant[c] + linear[c] * _widened(features[n, y, x, c])
                        if places[c] == np.uint8(place):
                            value += direct[c]
                        result[n, y, x, c] = _rounded(value, result)


@compiled
def spread_gradient(features, gradient, chosen, scale, constant, linear, slope, result):
    """Give constant + linear * feature, and to what was kept also what came through the activation, scaled."""
    for n in prange(len(features)):
        _spread_gradient(np.int64(n), features, gradient, chosen, scale, constant, linear, slope, result)


@of_image
def _normalise(n, features, shortcut, scale, offset, floor, result):
    _, height, width, channels = features.shape
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _widened(features[n, h, w, c]) * scale[c] + offset[c]
                if shortcut is not None:
                    value += _widened(shortcut[n, h, w, c])
                result[n, h, w, c] = _rounded(floor if value <= floor else value, result)


@compiled
def normalise(features, shortcut, scale, offset, floor, result):
    """Give scale * feature + offset, with a shortcut's value added where there is one, and no less than the floor."""
    for n in prange(len(features)):
        _normalise(np.int64(n), features, shortcut, scale, offset, floor, result)


@of_image
def _sum_normal_gradients(n, features, gradient, result, floor, mean, sums):
    _, height, width, channels = features.shape
    plain, weighted = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _widened(gradient[n, h, w, c])
                if _widened(result[n, h, w, c]) <= floor:
                    value = np.float32(0)
                plain[c] += value
                weighted[c] += value * (_widened(features[n, h, w, c]) - mean[c])
    for c in range(channels):
        sums[n, 0, c] = plain[c]
        sums[n, 1, c] = weighted[c]


@compiled
def sum_normal_gradients(features, gradient, result, floor, mean, sums):
    """Fill sums (N, 2, C) with what reaches each channel from above the floor, and that times feature - mean."""
    for n in prange(len(features)):
        _sum_normal_gradients(np.int64(n), features, gradient, result, floor, mean, sums)


@of_image
def _spread_normal_gradient(n, features, gradient, result, floor, scale, constant, linear, of_features, of_shortcut):
    _, height, width, channels = features.shape
    nothing = gradient.dtype.type(0)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                incoming = gradient[n, h, w, c]
                if _widened(result[n, h, w, c]) <= floor:
                    incoming = nothing
                if of_shortcut is not None:
                    of_shortcut[n, h, w, c] = incoming
                value = constant[c] + linear[c] * _widened(features[n, h, w, c]) + scale[c] * _widened(incoming)
                of_features[n, h, w, c] = _rounded(value, of_features)


@compiled
def spread_normal_gradient(features, gradient, result, floor, scale, constant, linear, of_features, of_shortcut):
    """Give constant + linear * feature + scale * what comes in from above the floor, and that to the shortcut."""
    for n in prange(len(features)):
        _spread_normal_gradient(
            np.int64(n), features, gradient, result, floor, scale, constant, linear, of_features, of_shortcut
        )
