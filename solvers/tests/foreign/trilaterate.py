"""Places from distances by SciPy's least squares: the other side of solvers/tests/it/locate.rs.

Prints tests/foreign/trilaterate.json: seeded anchors, distances and deviations, and for each the place with the smallest
sum of squares, its covariance, that sum, and the sum of the next best valley that is not the same place. From many
starting points, so that the smallest is the smallest. Made with SciPy 1.17.1 and NumPy 2:

    python trilaterate.py > trilaterate.json
"""

import json

import numpy
from scipy.optimize import least_squares

dice = numpy.random.default_rng(2026)
cases = []
while len(cases) < 120:
    anchors = dice.uniform(-40, 40, (int(dice.integers(3, 10)), 2))
    truth = dice.uniform(-40, 40, 2)
    true = numpy.hypot(*(anchors - truth).T)
    sigma = numpy.maximum(true * dice.uniform(0.03, 0.25), 0.3)
    metres = numpy.maximum(true + sigma * dice.standard_normal(len(true)), 0.5)

    def residuals(place):
        return (numpy.hypot(*(place - anchors).T) - metres) / sigma

    valleys = []
    for start in dice.uniform(-90, 90, (40, 2)):
        found = least_squares(residuals, start, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
        valleys.append((2 * found.cost, found.x, found.jac.T @ found.jac))
    valleys.sort(key=lambda valley: valley[0])
    left, place, normal = valleys[0]
    others = [cost for cost, x, _ in valleys if (x - place) @ normal @ (x - place) > 9]
    cases.append(
        {
            "sights": [[float(v) for v in row] for row in numpy.column_stack([anchors, metres, sigma])],
            "place": [float(v) for v in place],
            "covariance": numpy.linalg.inv(normal).tolist(),
            "left": float(left),
            "next": float(others[0]) if others else None,
        }
    )
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
