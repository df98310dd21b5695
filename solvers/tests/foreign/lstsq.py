"""Weighted least squares toward a prior, by numpy's singular values: the other side of solvers/src/ridge/tests.rs.

Reads "rows columns", then per row its columns, observation and weight, then per column the prior's mean and precision.
Prints the means and the variances of the coefficients.
"""

import sys

import numpy

words = iter(sys.stdin.read().split())
rows, columns = int(next(words)), int(next(words))
table = numpy.array([[float(next(words)) for _ in range(columns + 2)] for _ in range(rows)])
prior = numpy.array([[float(next(words)) for _ in range(2)] for _ in range(columns)])
x, y, root = table[:, :columns], table[:, columns], numpy.sqrt(table[:, columns + 1])
pull = numpy.sqrt(prior[:, 1])
stacked = numpy.vstack([x * root[:, None], numpy.diag(pull)])
wanted = numpy.concatenate([y * root, pull * prior[:, 0]])
mean, *_ = numpy.linalg.lstsq(stacked, wanted, rcond=None)
half = numpy.linalg.pinv(stacked)
print(*(repr(float(v)) for v in mean))
print(*(repr(float(v)) for v in (half * half).sum(axis=1)))
