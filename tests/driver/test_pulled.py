"""In which journal an image stands that several runs use."""

from __future__ import annotations

from support.rows import instances

from orchestrator.driver.pulled import PulledImages
from orchestrator.journal import Journal
from orchestrator.types import PulledImage

IMAGE = PulledImage("org/image", "a-node")


def journals(*run_ids: str) -> dict[str, Journal]:
    return {run_id: Journal.in_memory(run_id, instances("i")) for run_id in run_ids}


def test_it_stands_with_the_first_run_that_wants_it() -> None:
    found = journals("a", "b", "c")
    pulled = PulledImages(found)

    pulled.note(IMAGE, {"c", "b"})
    pulled.note(IMAGE, {"a"})

    assert [journal.pulled() for journal in found.values()] == [(), (IMAGE,), ()]
    assert pulled.of_node("a-node") == {"org/image"}
    assert pulled.of_node("") == set()


def test_it_is_forgotten_wherever_it_stands() -> None:
    """As two runs of their own may have pulled it, one after the other, before they go on
    together."""
    found = journals("a", "b", "c")
    for run_id in "ac":
        found[run_id].add_pulled(IMAGE)
    pulled = PulledImages(found)

    pulled.note(IMAGE, {"b"})
    assert found["b"].pulled() == (), "it is known already"
    pulled.forget(IMAGE)
    pulled.forget(IMAGE)

    assert [journal.pulled() for journal in found.values()] == [(), (), ()]
    pulled.note(IMAGE, {"b"})
    assert found["b"].pulled() == (IMAGE,)
