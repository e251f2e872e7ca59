from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.schema import Selection
from orchestrator.dataset.selection import select
from orchestrator.errors import ConfigError

IDS = ["django__django-1", "django__django-12", "astropy__astropy-3", "sympy__sympy-4"]

some_ids = st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True).map(
    lambda numbers: [f"a__b-{number}" for number in numbers]
)
bounds = st.one_of(st.none(), st.integers(-25, 25))


def chosen(*patterns: str) -> list[str]:
    return select(IDS, Selection(instances=patterns))


def test_nothing_asked_is_everything_in_its_order() -> None:
    assert select(IDS, Selection()) == IDS


def test_ids_come_in_the_benchmarks_order_and_once() -> None:
    assert chosen("sympy__sympy-4", "django__django-1", "sympy__sympy-4") == [IDS[0], IDS[3]]


def test_an_id_is_not_a_prefix_and_a_regex_matches_fully() -> None:
    assert chosen("django__django-1") == [IDS[0]]
    assert chosen("django__django-.") == [IDS[0]]
    assert chosen("django.*") == IDS[:2]


def test_a_file_holds_one_a_line_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text("# the hard ones\n sympy__sympy-4 # slow\n\nastropy.*\n", encoding="utf-8")

    assert chosen(f"@{path}") == IDS[2:]


@pytest.mark.parametrize("ending", ["\n", "\r\n", " # a\u2028b\x85c\x0bd\n"])
def test_a_file_of_any_editor_is_read_by_its_lines(tmp_path: Path, ending: str) -> None:
    text = "\ufeff" + "".join(f"{instance_id}{ending}" for instance_id in IDS[1:3])
    (tmp_path / "ids").write_bytes(text.encode())

    assert chosen(f"@{tmp_path}/ids") == IDS[1:3]


@pytest.mark.parametrize("data", [None, b"\xff\xfe\x00", b"a\xe9", b"a\0"])
def test_a_file_that_can_not_be_read_is_reported(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "ids").write_bytes(data)

    with pytest.raises(ConfigError, match="--instances"):
        chosen(f"@{tmp_path}/ids")


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sympy__sympy-4'"):
        chosen("sympy__sympy-44")


def test_an_unknown_id_of_many_does_not_list_them_all() -> None:
    many = [f"a__a-{n}" for n in range(100)]

    with pytest.raises(ConfigError, match="none of the 100 ids matches it"):
        select(many, Selection(instances=("completely different",)))


def test_a_regex_that_is_none_is_reported() -> None:
    with pytest.raises(ConfigError, match="no regex"):
        chosen("django[")


@pytest.mark.parametrize("text", ["5", "a:b", "1:2:3", "", "1.5:"])
def test_a_slice_that_is_none_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="START:STOP"):
        select(IDS, Selection(slice=text))


def test_a_selection_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no instance"):
        select(IDS, Selection(slice="4:"))


@given(some_ids, st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_seed_decides_the_order_and_nothing_else_does(
    ids: list[str], seed: int, other: int
) -> None:
    once = select(ids, Selection(shuffle=True, seed=seed))

    assert once == select(list(ids), Selection(shuffle=True, seed=seed))
    assert sorted(once) == sorted(ids)
    assert sorted(select(ids, Selection(shuffle=True, seed=other))) == sorted(ids)


@given(some_ids, bounds, bounds, st.booleans())
def test_a_slice_is_pythons_taken_after_the_shuffle(
    ids: list[str], start: int | None, stop: int | None, shuffle: bool
) -> None:
    text = f"{'' if start is None else start}:{'' if stop is None else stop}"
    expected = select(ids, Selection(shuffle=shuffle, seed=7))[start:stop]
    if not expected:
        return

    assert select(ids, Selection(shuffle=shuffle, seed=7, slice=text)) == expected


@given(some_ids, st.data())
def test_any_choice_of_ids_is_just_that_choice(ids: list[str], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.sampled_from(ids), min_size=1))

    assert select(ids, Selection(instances=tuple(wanted))) == [i for i in ids if i in wanted]


def test_the_shuffle_is_the_same_on_every_machine_and_version() -> None:
    ids = [str(n) for n in range(8)]

    assert select(ids, Selection(shuffle=True, seed=0)) == list("41520376")
