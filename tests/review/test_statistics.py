import itertools
import math
import statistics

from mnist_sweep.review.statistics import expected_best, interval, noise
from mnist_sweep.search.goal import Goal


def test_the_error_of_a_share_is_binomial_and_nothing_else_has_one() -> None:
    known = noise(0.992, 5000, fraction=True)
    assert known is not None
    assert abs(known.error - 0.00126) < 1e-5
    assert (
        noise(0.992, None, fraction=True) is noise(0.5, 100, fraction=False) is noise(1.0, 100, fraction=True) is None
    )


def test_expected_best_of_random_search_is_the_quantile_over_all_orders() -> None:
    values = [0.3, 0.9, 0.5, 0.7]
    orders = [list(itertools.accumulate(order, max)) for order in itertools.permutations(values)]
    for quantile in (0.1, 0.5, 0.9):
        exact = []
        for n in range(len(values)):
            best = sorted(order[n] for order in orders)
            exact.append(best[max(round(quantile * len(best) + 0.4999999) - 1, 0)])
        assert expected_best(values, quantile) == exact
    assert expected_best(values, 0.5, goal=Goal.MINIMIZE)[0] in values
    assert expected_best(values, 0.5, goal=Goal.MINIMIZE)[-1] == 0.3
    assert statistics.median(values) >= expected_best(values, 0.5)[0]


def test_an_interval_of_one_value_is_not_known() -> None:
    assert math.isnan(interval([1.0]))
    assert interval([1.0, 1.0]) == 0.0
