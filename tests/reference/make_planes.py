"""Writes tests/reference/planes.json: principal components, projections, normalised directions, a toy loss.

    python tests/reference/make_planes.py

needs numpy. No inputs are stored: all come from the closed formula

    value(k, i) = sin(1 + 0.37*k + 1.13*i + 0.011*k*i)

in float64, and each input is rounded to float32 once, after the last operation that makes it. For each set of inputs
the file holds their sum and sum of squares, so that a test can tell wrong inputs from wrong results. Everything else is
computed from the rounded inputs in float64 and kept to 12 significant digits. With i from 0:

trajectory   snapshot k of 0..11, i < 40: value(k, i) + 0.5*k*cos(0.3*i).
             singular_values_squared and explained are those of the snapshots minus their mean, all 12 of them, largest
             first (the last is 0 but for rounding); components are the first two right singular vectors, of unit
             length, with the sign that makes the entry of largest magnitude positive; coordinates[k] are the dot
             products of (snapshot k - snapshot 11) with the two components.
projection   i < 40. origin w = value(0, i); directions u = 1.5*value(30, i), v = 0.8*value(31, i) + 0.6*value(30, i);
             point j of 0..4 is w + a*u + b*v + 0.1*j*value(40 + j, i) with a = 0.75*j - 1 and b = 1.25 - 0.5*j*j, from
             w, u and v as rounded. coordinates[j] is the least-squares solution of a*u + b*v = point - w, distances[j]
             the length of what is left. Point 0 lies in the plane but for the rounding of its entries.
directions   the parameters below, numbered t from 0 in this order. weights: 0.1*(t + 1)*value(t, i), direction:
             value(10 + t, i), with i counting through the tensor in row-major order. Then all of filter 1 of the
             direction's convolution is set to 0, and all of filter 2 of the weights' convolution.
                 filter      each filter (first index of a tensor of two or more dimensions) of the direction is scaled
                             to the length of the same filter of the weights; tensors of one dimension become 0
                             (Li et al. 2018)
                 filter-all  the same, but a tensor of one dimension as a whole is scaled to the length of the weights'
                 layer       each tensor as a whole is scaled to the length of the weights'; tensors of one dimension
                             become 0
                 layer-all   the same, tensors of one dimension included
             What has no length stays 0. modes holds the whole direction, tensor after tensor.
two_basins   the two-dimensional loss of the anisotropic-noise paper (Zhu et al. 2019) with x1 = x2 = 0:
                 s1 = w1 - 1, s2 = w2 - 1, c = cos(pi/4)
                 loss = min(10*(c*s1 - c*s2)^2 + 100*(c*s1 + c*s2)^2, (w1 + 1)^2 + (w2 + 1)^2)
             at 9 values of w1 and 7 of w2, both evenly from -2 to 2; values[row][column], a column one value of w1.
"""

import json
import math
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
FORMULA = "sin(1 + 0.37*k + 1.13*i + 0.011*k*i), inputs rounded to float32; see make_planes.py"
SNAPSHOTS, WIDTH, POINTS = 12, 40, 5
PARAMETERS = {
    "conv.weight": (3, 2, 3, 3),
    "conv.bias": (3,),
    "bn.weight": (3,),
    "bn.bias": (3,),
    "linear.weight": (4, 5),
    "linear.bias": (4,),
}


def value(k, n):
    """value(k, i) for i < n in float64."""
    i = np.arange(n, dtype=np.float64)
    return np.sin(1.0 + 0.37 * k + 1.13 * i + 0.011 * k * i)


def rounded(values):
    """To float32, and back so that all that follows is in float64."""
    return np.asarray(values).astype(np.float32).astype(np.float64)


def sums(*inputs):
    everything = np.concatenate([np.ravel(one) for one in inputs])
    return {"sum": everything.sum(), "sum_of_squares": (everything**2).sum()}


def trajectory():
    drift = np.cos(0.3 * np.arange(WIDTH))
    snapshots = np.stack([rounded(value(k, WIDTH) + 0.5 * k * drift) for k in range(SNAPSHOTS)])
    _, singular, right = np.linalg.svd(snapshots - snapshots.mean(axis=0), full_matrices=False)
    components = np.stack([c * np.sign(c[np.argmax(np.abs(c))]) for c in right[:2]])
    # A singular value this far below the first is rounding; its digits would differ from one library to the next.
    squared = np.where(singular > 1e-12 * singular[0], singular, 0.0) ** 2
    return {
        "inputs": sums(snapshots),
        "singular_values_squared": squared,
        "explained": squared / squared.sum(),
        "components": components,
        "coordinates": (snapshots - snapshots[-1]) @ components.T,
    }


def projection():
    origin = rounded(value(0, WIDTH))
    u = rounded(1.5 * value(30, WIDTH))
    v = rounded(0.8 * value(31, WIDTH) + 0.6 * value(30, WIDTH))
    points = []
    for j in range(POINTS):
        a, b = 0.75 * j - 1.0, 1.25 - 0.5 * j * j
        points.append(rounded(origin + a * u + b * v + 0.1 * j * value(40 + j, WIDTH)))
    plane = np.stack([u, v], axis=1)
    coordinates, distances = [], []
    for point in points:
        solution = np.linalg.lstsq(plane, point - origin, rcond=None)[0]
        coordinates.append(solution)
        distances.append(np.linalg.norm(point - origin - plane @ solution))
    return {
        "inputs": sums(origin, u, v, *points),
        "lengths": [np.linalg.norm(u), np.linalg.norm(v)],
        "angle_degrees": math.degrees(math.acos(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))),
        "origin_length": np.linalg.norm(origin),
        "coordinates": coordinates,
        "distances": distances,
    }


def scaled(direction, weights):
    """The direction, as long as the weights."""
    length = np.linalg.norm(direction)
    return direction * (np.linalg.norm(weights) / length) if length > 0 else direction


def normalised(mode, direction, weights):
    """One tensor of a direction."""
    if direction.ndim == 1 and not mode.endswith("-all"):
        return np.zeros_like(direction)
    if direction.ndim > 1 and mode.startswith("filter"):
        return np.stack([scaled(d, w) for d, w in zip(direction, weights)])
    return scaled(direction, weights)


def directions():
    weights, direction = [], []
    for t, shape in enumerate(PARAMETERS.values()):
        n = math.prod(shape)
        weights.append(rounded(0.1 * (t + 1) * value(t, n)).reshape(shape))
        direction.append(rounded(value(10 + t, n)).reshape(shape))
    direction[0][1] = 0.0
    weights[0][2] = 0.0
    modes = {}
    for mode in ("filter", "filter-all", "layer", "layer-all"):
        tensors = [normalised(mode, d, w) for d, w in zip(direction, weights)]
        modes[mode] = np.concatenate([tensor.ravel() for tensor in tensors])
    return {"inputs": sums(*weights, *direction), "parameters": list(PARAMETERS.items()), "modes": modes}


def two_basins():
    def loss(w1, w2):
        s1, s2, c = w1 - 1.0, w2 - 1.0, math.cos(math.pi / 4)
        sharp = 10.0 * (c * s1 - c * s2) ** 2 + 100.0 * (c * s1 + c * s2) ** 2
        return min(sharp, (w1 + 1.0) ** 2 + (w2 + 1.0) ** 2)

    first, second = np.linspace(-2.0, 2.0, 9), np.linspace(-2.0, 2.0, 7)
    return {"first": first, "second": second, "values": [[loss(w1, w2) for w1 in first] for w2 in second]}


def short(thing):
    """Numbers to 12 significant digits, arrays as lists."""
    if isinstance(thing, dict):
        return {name: short(entry) for name, entry in thing.items()}
    if isinstance(thing, (list, tuple, np.ndarray)):
        return [short(entry) for entry in thing]
    return float(f"{thing:.12g}") if isinstance(thing, float) else thing


def main():
    record = {
        "formula": FORMULA,
        "trajectory": trajectory(),
        "projection": projection(),
        "directions": directions(),
        "two_basins": two_basins(),
    }
    (HERE / "planes.json").write_text(json.dumps(short(record), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
