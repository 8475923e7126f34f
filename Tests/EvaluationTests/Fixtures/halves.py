"""The halves of a split that a probe is fitted and judged on: as Sources/Evaluation/ProbeSplit.swift cuts them."""
import numpy as np


def halves(labels):
    """Places to fit on and to judge: in each class the first half, the odd images of odd classes in turn."""
    fit, judged, odd = [], [], 0
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        first = len(places) // 2
        if len(places) % 2:
            first += odd % 2
            odd += 1
        fit += list(places[:first])
        judged += list(places[first:])
    return np.sort(fit), np.sort(judged)
