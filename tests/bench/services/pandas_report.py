"""A report over data frames: numbers, categories, text as objects, a grouped and a joined table, views.

    pandas_report.py [--again]     makes it over and over, and keeps the texts of each, until it is killed
"""
import os
import sys

import numpy
import pandas

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                                "workloads"))

import truth  # noqa: E402

ROWS = 400000


def report(random):
    sales = pandas.DataFrame({
        "when": pandas.date_range("2024-01-01", periods=ROWS, freq="min"),
        "amount": random.normal(100, 20, ROWS), "count": random.integers(1, 50, ROWS),
        "city": pandas.Categorical(random.choice(["Oslo", "Bergen", "Troms\xf8"], ROWS)),
        "note": ["note %d about a sale" % number for number in range(ROWS)]})
    by_city = sales.groupby("city").agg({"amount": ["sum", "mean"], "count": "max"})
    daily = sales.set_index("when").resample("D").sum(numeric_only=True)
    joined = sales.merge(sales[["city", "count"]].drop_duplicates().assign(rank=1), on=["city", "count"])
    recent = sales[sales["amount"] > 120]
    return [sales, by_city, daily, joined, recent, sales["amount"].values[:1000]]


def main():
    random = numpy.random.default_rng(1)
    kept = report(random)
    truth.say("ready", pid=os.getpid(), frames=len(kept))
    texts = []
    while "--again" in sys.argv:
        texts.append(list(report(random)[0]["note"][:20000]))
    while True:
        truth.hear()


if __name__ == "__main__":
    main()
