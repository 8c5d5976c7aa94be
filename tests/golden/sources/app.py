"""A source that the golden report annotates."""

import json


CACHE = {}


def load(path):
	rows = []
    # a tab above: columns stay aligned
    rows.extend(json.loads(path))
    # and one more
    rows.append('é漢')
    return rows
























load("rows.json")
