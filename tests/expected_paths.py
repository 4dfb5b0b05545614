"""Prints the paths of all plots of the original pipeline, sorted, one a line.

With `--possible`, without those that the model cannot draw.
Written from how the container names its files, and not from any Jheemfile, to be compared with one.
"""

import itertools
import sys

CITIES = (
    "12060 12420 12580 12940 14460 16740 16980 17460 18140 19100 19820 26420 26900 27260 29820 "
    "31080 32820 33100 35380 35620 36740 37980 38060 40140 40900 41700 41740 41860 42660 45300 47900"
).split()
SCENARIOS = ["cessation", "brief_interruption", "prolonged_interruption"]
CLIENTS = ["rw.clients", "adap.clients", "non.adap.clients", "oahs.clients"]
OUTCOMES = CLIENTS + (
    "incidence diagnosed.prevalence suppression testing prep.uptake awareness "
    "adap.proportion oahs.suppression adap.suppression new"
).split()
STATISTICS = ["mean.and.interval", "median.and.interval", "individual.simulation"]
DIMENSIONS = ["age", "race", "sex", "risk"]


def facets():
    """Every subset of the dimensions, in their order."""
    for count in range(len(DIMENSIONS) + 1):
        yield from itertools.combinations(DIMENSIONS, count)


def possible(outcome, facet):
    if outcome == "awareness":
        return not facet
    if outcome == "prep.uptake":
        return "risk" not in facet
    if outcome in CLIENTS + ["oahs.suppression", "adap.proportion"]:
        return "risk" not in facet or len(facet) == 1
    return True


def paths(only_possible):
    for city, scenario, outcome, statistic, facet in itertools.product(
        CITIES, SCENARIOS, OUTCOMES, STATISTICS, list(facets())
    ):
        if only_possible and not possible(outcome, facet):
            continue
        part = "facet_" + "+".join(facet) if facet else "unfaceted"
        yield f"plots/C.{city}/{scenario}/{outcome}_{statistic}_{part}.json"


print("\n".join(sorted(paths("--possible" in sys.argv[1:]))))
