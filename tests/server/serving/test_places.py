"""Places are shared out: who takes many leaves some."""

from __future__ import annotations

from emotion2vec_server.serving.places import Places


def taken(places: Places, caller: str, tries: int) -> int:
    return sum(places.take(caller) for _ in range(tries))


def test_one_alone_takes_four_fifths() -> None:
    places = Places(100)
    assert taken(places, "greedy", 200) == 81
    assert taken(places, "next", 200) == 16
    assert places.take("modest")
    assert places.taken == 98


def test_what_is_given_back_can_be_taken_again() -> None:
    places = Places(2)
    assert places.take("a")
    assert places.take("b")
    assert not places.take("c")
    places.give_back("a")
    assert places.take("c")
    assert places.taken == 2
