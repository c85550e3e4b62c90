"""Checks are judged by their limits and told in a line each, the worst first."""

import math

from benchmark.health import FAIL, OK, UNKNOWN, WARN, judged, sentences, unknown, worst


def check(value, subject="a", **limits):
    return judged("size", subject, value, "it is so large.", "Shrink it.", where="layer 1", **limits)


def test_a_value_is_judged_by_the_limit_that_it_is_above():
    limits = {"warn": 1.0, "fail": 2.0}
    found = [check(value, **limits) for value in (1.0, 1.1, 2.0, 2.1, math.nan)]
    assert [item.status for item in found] == [OK, WARN, WARN, FAIL, UNKNOWN]
    assert [item.limit for item in found] == [1, 1, 1, 2, 1] and [item.advice for item in found][0] == ""
    assert check(5.0, warn=1.0).status == WARN and check(5.0, fail=7.0).limit == 7.0


def test_what_is_unknown_is_not_bad_and_the_worst_counts():
    missing = unknown("size", "b", "there is none.", "Add one.")
    assert worst([missing]) == OK and worst([]) == OK
    assert worst([missing, check(1.5, warn=1.0)]) == WARN and worst([check(3.0, fail=1.0), missing]) == FAIL


def test_each_check_has_one_line_with_its_advice_once():
    found = [
        unknown("age", "c", "nobody knows.", "Ask."), check(1.5, warn=1.0), check(0.5, "b", warn=1.0),
        check(1.5, "c", warn=1.0), check(3.0, "d", fail=1.0),
    ]  # fmt: skip
    assert sentences(found) == [
        "fail size: d (layer 1): it is so large. Shrink it.",
        "warn size: a (layer 1), c (layer 1): it is so large. Shrink it.",
        "unknown age: c: nobody knows. Ask.",
    ]
