"""What a host is worth: slots and what binds them, limits that an engine can't keep, images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.host import Host, Place
from orchestrator.config import RunRequest, load_config
from orchestrator.config.cluster import Cluster
from orchestrator.config.schema import Endpoint, Model
from orchestrator.driver.capacity import (
    Memory,
    RunWork,
    Slots,
    choose_slots,
    limit_problem,
    limit_warnings,
    make_capacity,
    share_capacity,
)
from orchestrator.driver.lanes import Lane
from orchestrator.driver.plan import Plan
from orchestrator.types import RolloutKey

MANY = 300
GIB = 2**30 / 1e9
MAC_MINI_GB = 16 * GIB
HERE = Memory(64, 64)
"""Of lite."""


def cluster(workers: int | str = "auto", **more: Any) -> Cluster:
    return Cluster.model_validate({"name": "c", "workers": workers, **more})


def model(max_concurrency: int) -> Model:
    endpoint = Endpoint(base_url="http://h/v1")
    return Model(name="m", served_name="m", endpoint=endpoint, max_concurrency=max_concurrency)


def engine(memory_gb: float, cpus: int, place: Place = Place.HERE, name: str = "Docker") -> Host:
    return Host("docker", memory_gb, cpus, engine_name=name, place=place)


def machine(gib: float, cpus: int = 10, name: str = "OrbStack") -> Host:
    """An engine in a virtual machine of this host."""
    return engine(gib * GIB, cpus, Place.VIRTUAL_MACHINE, name)


def slots(
    cluster: Cluster, model: Model | None, host: Host, here_gb: float = 1000, rollouts: int = MANY
) -> Slots:
    return choose_slots(cluster, [model], host, Memory(here_gb, here_gb), rollouts)


def test_as_many_slots_as_asked_for() -> None:
    assert slots(cluster(7), model(2), engine(1, 1), 1).count == 7
    assert "--workers" in slots(cluster(7), model(2), engine(1, 1), 1).bound


def test_no_more_slots_than_rollouts_are_left() -> None:
    assert slots(cluster(7), model(2), engine(1, 1), rollouts=3) == Slots(
        3, "no more are left to do"
    )
    assert slots(cluster(7), model(2), engine(1, 1), rollouts=0).count == 1


def test_the_memory_of_a_host_with_its_own_engine_is_one_budget() -> None:
    small = cluster(sandbox={"memory_request_gb": 2}, grading={"slots": 1})

    found = slots(small, model(100), engine(16, 64), here_gb=16)

    assert found.count == 5  # (16 - 2 system - 0.6 driver - 2 for a grade) / (2 + 0.06 worker)
    assert "this host's memory binds (16.0 GB" in found.bound
    assert "memory_request_gb" in found.bound


def test_the_model_binds() -> None:
    found = slots(cluster(), model(3), engine(1000, 64))

    assert found.count == 3
    assert "model.max_concurrency" in found.bound


def test_cores_bind() -> None:
    assert slots(cluster(), model(100), engine(1000, 2)).count == 8
    assert slots(cluster(), None, engine(1000, 2)).count == 2
    assert "2 cores" in slots(cluster(), model(100), engine(1000, 2)).bound


def mac_mini() -> Cluster:
    """The shipped profile."""
    return load_config(RunRequest("lite", agent="gold", cluster="mac-mini")).cluster


@pytest.mark.parametrize(("gib", "count"), [(8, 4), (12, 7), (16, 8)])
def test_a_mac_mini_has_slots_by_its_virtual_machine_and_by_itself(gib: int, count: int) -> None:
    found = slots(mac_mini(), model(100), machine(gib), here_gb=MAC_MINI_GB)

    assert found.count == count
    assert ("OrbStack's" if gib < 16 else "this host's") in found.bound


def test_what_binds_in_a_virtual_machine_names_how_it_gets_more() -> None:
    host = replace(machine(8), enlarge="`orb config set memory_mib 12288`")

    assert "orb config set memory_mib" in slots(mac_mini(), model(9), host, MAC_MINI_GB).bound


def test_a_model_server_on_the_same_host_leaves_less_for_sandboxes() -> None:
    """As on a Spark alone, whose GPU has the memory of all."""
    spark, here = engine(128, 20), Memory(total_gb=128, available_gb=13)

    found = choose_slots(cluster(), [model(100)], spark, here, MANY)

    assert found.count == 8  # (13 - 0.6 driver - 1.2 for a grade) / (1.2 + 0.06 worker)
    assert "13.0 of them available" in found.bound
    machine = replace(spark, place=Place.VIRTUAL_MACHINE)
    assert choose_slots(cluster(), [model(100)], machine, here, MANY).count == 80, "cores bind"


def test_an_engine_on_another_host_takes_no_memory_of_this_one() -> None:
    host = engine(64, 32, Place.ELSEWHERE)

    assert slots(cluster(), model(100), host, here_gb=4).count == 23  # (4 - 2 - 0.6) / 0.06
    assert slots(cluster(), model(100), replace(host, place=Place.HERE), here_gb=8).count == 3


places = st.sampled_from(list(Place))


@given(st.floats(0.5, 2000), st.floats(1, 2000), st.integers(1, 256), st.integers(1, 64), places)
def test_there_is_always_a_slot_and_never_more_than_the_model_wants(
    engine_gb: float, here_gb: float, cpus: int, concurrency: int, place: Place
) -> None:
    found = slots(cluster(), model(concurrency), engine(engine_gb, cpus, place), here_gb).count

    assert 1 <= found <= concurrency
    larger = engine(engine_gb + 8, cpus, place)
    assert found <= slots(cluster(), model(concurrency), larger, here_gb + 8).count


def test_more_cores_than_the_engine_has_are_refused_before_the_night() -> None:
    problem = limit_problem(cluster(), machine(2, cpus=1, name="Colima"))

    assert problem is not None
    assert "cluster.sandbox.cpus is 2" in problem
    assert "Colima has 1 core:" in problem
    grading = cluster(sandbox={"cpus": 1}, grading={"cpus": 4})
    assert "cluster.grading.cpus" in (limit_problem(grading, machine(2, cpus=2)) or "")
    assert limit_problem(cluster(), machine(2, cpus=2)) is None
    assert limit_problem(cluster(), Host("process", 2, 1)) is None, "nothing refuses it"


def test_limits_that_a_small_engine_cannot_keep_are_told() -> None:
    host = replace(machine(2, cpus=2, name="Colima"), enlarge="`colima start --memory 12`")

    (warning,) = limit_warnings(cluster(), host)

    assert warning.startswith("a rollout may take 4 GB (cluster.sandbox.memory_gb), a grade may")
    assert "may take 8 GB (cluster.grading.memory_gb), one rollout and 1 grade" in warning
    assert "want 2.9 GB, and Colima has 2.1 in all" in warning
    assert warning.count("colima start --memory 12") == 1
    (grades,) = limit_warnings(cluster(), engine(4.1, 4))
    assert grades.startswith("a grade may take 8 GB (cluster.grading.memory_gb), and Docker has")
    assert list(limit_warnings(cluster(), engine(16, 4))) == []
    assert list(limit_warnings(cluster(), Host("process", 2, 1))) == []


def lite(**settings: Any) -> Any:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return load_config(RunRequest("lite", agent="gold", cluster="local", settings=given))


def keys(count: int) -> Plan:
    return Plan(tuple(RolloutKey("r", str(n), 1) for n in range(count)), (), 0)


def test_an_emulated_host_is_expected_to_grade_more_slowly() -> None:
    config, plan = lite(cluster__workers=300, cluster__grading__slots=1), keys(100)
    native = engine(16, 8)
    emulated = replace(native, architecture="linux/arm64")

    quick, slow = (
        make_capacity(config, plan, host, Memory(16, 16)).wall_s for host in (native, emulated)
    )

    assert slow == 4 * quick


def test_what_this_host_is_worth_is_said_to_be_a_guess_for_a_clusters_nodes() -> None:
    nodes = cluster(ray_address="head:6379")

    for found in (slots(nodes, None, engine(16, 2)), slots(nodes, model(3), engine(16, 2))):
        assert found.bound.endswith("--workers N says it")
    assert slots(cluster(12, ray_address="head:6379"), model(3), engine(16, 2)) == Slots(
        12, "as cluster.workers (--workers) says"
    )


def work_of(model: Model | None, lane: Lane | None = None, count: int = 100) -> RunWork:
    """Of a run of the demo with a model that takes 100 s a rollout."""
    config = load_config(RunRequest("demo", agent="gold", settings={"cluster.grading.slots": 99}))
    if model is not None:
        model = model.model_copy(update={"seconds_per_rollout": 100})
    keys = tuple(RolloutKey("r", f"i{n}", 1) for n in range(count))
    return RunWork(config.model_copy(update={"model": model}), Plan(keys, (), 0), lane)


SPARK = engine(1000, 100)


def test_two_models_are_worth_what_both_are_together_and_one_in_two_runs_no_more() -> None:
    shared, other = Lane("m", 6), Lane("n", 4)
    runs = [work_of(model(6), shared), work_of(model(6), shared), work_of(model(4), other)]

    both = share_capacity(runs, SPARK, Memory(1000, 1000)).slots
    one = share_capacity(runs[:2], SPARK, Memory(1000, 1000)).slots

    assert (both.count, one.count) == (10, 6)
    assert "what m are together worth binds" in both.bound
    assert "what m is worth binds" in one.bound


def test_what_asks_no_model_beside_one_that_does_is_bound_by_cores() -> None:
    runs = [work_of(model(6), Lane("m", 6)), work_of(None)]

    assert share_capacity(runs, SPARK, Memory(1000, 1000)).slots.count == 200


def test_the_slowest_model_says_how_long_it_takes() -> None:
    runs = [work_of(model(9), Lane("m", 9)), work_of(model(1), Lane("n", 1))]

    assert share_capacity(runs, SPARK, Memory(1000, 1000)).wall_s == 100 * 100


def test_no_more_slots_than_rollouts_are_left_in_all_runs() -> None:
    runs = [work_of(model(9), Lane("m", 9), 2), work_of(model(9), Lane("n", 9), 3)]

    assert share_capacity(runs, SPARK, Memory(1000, 1000)).slots.count == 5
