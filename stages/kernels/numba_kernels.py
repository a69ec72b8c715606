"""The loops of batch_norm.py and fused_batch_norm.py, compiled by numba, on float32 or on bfloat16's bits as uint16.

Arrays are (images, height, width, channels). Channels are the inner loops, of which the compiler makes vector
instructions. Threads share out whole images, so that every sum has its order whatever their number. All is computed in
float32: in bfloat16 a kernel gives what it gives in float32, rounded.
"""

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

# an argmax is the position in a window, 0 to 3, and this bit where the maximum is positive
POSITIVE = np.uint8(4)
POSITION = np.uint8(3)
NO_WINDOW = np.uint8(255)

# contract: a * b + c may be rounded once; sums keep their order
OPTIONS = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
# what numba need not look for in the loop that threads share, where there is nothing but a call
ABSENT = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
PARALLEL = dict.fromkeys(ABSENT, False)


def per_image(kernel):
    """Compile a kernel's part for one image, apart from the loop that threads share: so all is compiled sooner."""
    return njit(no_cpython_wrapper=True, **OPTIONS)(kernel)


def parallel(kernel):
    """Compile a kernel when it is first called, and keep what comes of it for the next process."""
    try:
        return njit(cache=True, parallel=PARALLEL, **OPTIONS)(kernel)
    except RuntimeError:  # there is no place to keep it, for all is read-only
        return njit(parallel=PARALLEL, **OPTIONS)(kernel)


def _to_float32(value):
    """Return the float32 that a value of an array stands for."""


@overload(_to_float32, inline="always")
def _to_float32_by_type(value):
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


def _from_float32(value, array):
    """Return a float32 as an array keeps it: as it is, or the bfloat16 next to it; halfway, the even one."""


@overload(_from_float32, inline="always")
def _from_float32_by_type(value, array):
    def bfloat16_bits(value, array):
        bits = np.float32(value).view(np.uint32)
        odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
        return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))

    return bfloat16_bits if array.dtype == types.uint16 else lambda value, array: value


@per_image
def _shifted_sums(n, features, shift, sums):
    _, height, width, channels = features.shape
    total, squares = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _to_float32(features[n, h, w, c]) - shift[c]
                total[c] += value
                squares[c] += value * value
    for c in range(channels):
        sums[n, 0, c], sums[n, 1, c] = total[c], squares[c]


@parallel
def shifted_sums(features, shift, sums):
    """Fill sums (N, 2, C) with those over each image of feature - shift, and of its square."""
    for n in prange(len(features)):
        _shifted_sums(np.int64(n), features, shift, sums)


@per_image
def _backward_sums(n, inputs, gradient, gate, threshold, slope, mean, sums):
    _, height, width, channels = gradient.shape
    total, weighted = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _to_float32(gradient[n, h, w, c])
                if _to_float32(gate[n, h, w, c]) <= threshold:
                    value = np.float32(0) if slope is None else value * slope
                total[c] += value
                weighted[c] += value * (_to_float32(inputs[n, h, w, c]) - mean[c])
    for c in range(channels):
        sums[n, 0, c], sums[n, 1, c] = total[c], weighted[c]


@parallel
def backward_sums(inputs, gradient, gate, threshold, slope, mean, sums):
    """Fill sums (N, 2, C) with those over each image of the gradient before an activation, and of it * (input - mean).

    Where its gate is not above the threshold, the activation is LeakyReLU's slope, or 0 where there is none.
    """
    for n in prange(len(gradient)):
        _backward_sums(np.int64(n), inputs, gradient, gate, threshold, slope, mean, sums)


@per_image
def _pool_forward(n, features, scale, offset, slope, output, selected, argmax):
    _, height, width, channels = output.shape
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                # written out, for in a loop over positions the compiler would not take several channels at once
                best = features[n, 2 * h, 2 * w, c]
                maximum, position = _to_float32(best) * scale[c] + offset[c], np.uint8(0)
                right = features[n, 2 * h, 2 * w + 1, c]
                value = _to_float32(right) * scale[c] + offset[c]
                if value > maximum:
                    best, maximum, position = right, value, np.uint8(1)
                below = features[n, 2 * h + 1, 2 * w, c]
                value = _to_float32(below) * scale[c] + offset[c]
                if value > maximum:
                    best, maximum, position = below, value, np.uint8(2)
                diagonal = features[n, 2 * h + 1, 2 * w + 1, c]
                value = _to_float32(diagonal) * scale[c] + offset[c]
                if value > maximum:
                    best, maximum, position = diagonal, value, np.uint8(3)
                if maximum > 0:
                    position = np.uint8(position | POSITIVE)
                else:
                    maximum = maximum * slope
                output[n, h, w, c] = _from_float32(maximum, output)
                selected[n, h, w, c] = best
                argmax[n, h, w, c] = position


@parallel
def pool_forward(features, scale, offset, slope, output, selected, argmax):
    """Fill output with leaky_relu(max(scale * feature + offset)) of each window, and selected with that feature."""
    for n in prange(len(features)):
        _pool_forward(np.int64(n), features, scale, offset, slope, output, selected, argmax)


@per_image
def _pool_backward(n, features, gradient, argmax, slope, scale, constant, linear, grad_input):
    _, height, width, channels = features.shape
    pooled, positions = np.empty(channels, np.float32), np.empty(channels, np.uint8)
    for h in range((height + 1) // 2):
        for w in range((width + 1) // 2):
            in_window = 2 * h + 1 < height and 2 * w + 1 < width  # an odd last row or column is in none
            for c in range(channels):
                if in_window:
                    value = _to_float32(gradient[n, h, w, c]) * scale[c]
                    pooled[c] = value if argmax[n, h, w, c] >= POSITIVE else value * slope
                    positions[c] = argmax[n, h, w, c] & POSITION
                else:
                    positions[c] = NO_WINDOW
            for position in range(4):
                y, x = 2 * h + (position >> 1), 2 * w + (position & 1)
                if y < height and x < width:
                    for c in range(channels):
                        value = constant[c] + linear[c] * _to_float32(features[n, y, x, c])
                        if positions[c] == np.uint8(position):
                            value += pooled[c]
                        grad_input[n, y, x, c] = _from_float32(value, grad_input)


@parallel
def pool_backward(features, gradient, argmax, slope, scale, constant, linear, grad_input):
    """Fill grad_input with constant + linear * feature, and scale * the gradient before LeakyReLU for the selected."""
    for n in prange(len(features)):
        _pool_backward(np.int64(n), features, gradient, argmax, slope, scale, constant, linear, grad_input)


@per_image
def _residual_forward(n, features, shortcut, scale, offset, minimum, output):
    _, height, width, channels = features.shape
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                value = _to_float32(features[n, h, w, c]) * scale[c] + offset[c]
                if shortcut is not None:
                    value += _to_float32(shortcut[n, h, w, c])
                output[n, h, w, c] = _from_float32(minimum if value <= minimum else value, output)


@parallel
def residual_forward(features, shortcut, scale, offset, minimum, output):
    """Fill output with max(scale * feature + offset + shortcut, minimum); there may be no shortcut."""
    for n in prange(len(features)):
        _residual_forward(np.int64(n), features, shortcut, scale, offset, minimum, output)


@per_image
def _residual_backward(n, features, gradient, output, minimum, scale, constant, linear, grad_input, grad_shortcut):
    _, height, width, channels = features.shape
    zero = gradient.dtype.type(0)
    for h in range(height):
        for w in range(width):
            for c in range(channels):
                incoming = gradient[n, h, w, c]
                if _to_float32(output[n, h, w, c]) <= minimum:
                    incoming = zero
                if grad_shortcut is not None:
                    grad_shortcut[n, h, w, c] = incoming
                value = constant[c] + linear[c] * _to_float32(features[n, h, w, c]) + scale[c] * _to_float32(incoming)
                grad_input[n, h, w, c] = _from_float32(value, grad_input)


@parallel
def residual_backward(features, gradient, output, minimum, scale, constant, linear, grad_input, grad_shortcut):
    """Fill grad_shortcut with the gradient above the minimum, grad_input with constant + linear * x + scale * that."""
    grads = grad_input, grad_shortcut
    for n in prange(len(features)):
        _residual_backward(np.int64(n), features, gradient, output, minimum, scale, constant, linear, *grads)
