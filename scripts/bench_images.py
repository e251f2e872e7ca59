#!/usr/bin/env python3
"""What a small disk and a pull quota cost a night of 300 Lite images, in the simulator.

    scripts/bench_images.py [--dataset-dir FOLDER] [--spread] [--ask]

The store that decides the real night decides the simulated one. Side by side: our order, the data
set's own under the same eviction, and everything pulled before the first rollout starts (which
needs a disk that holds it all). Sizes and what is shared are what registries tell (`--ask`), else
our table's by repository and version (`orchestrator/images/table.py` has its sources). Every
rollout takes as long as `--seconds` says; with `--spread` those of a repository take their share of
it, drawn once from the instance's name.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import load_dataset
from orchestrator.images.decisions import StoreSettings
from orchestrator.images.forecast import Forecast, Night, Work, simulate
from orchestrator.images.layers import ImageSize, unique_bytes
from orchestrator.images.names import registry_of
from orchestrator.images.node import EXPANSION
from orchestrator.images.order import plan_order
from orchestrator.images.pulls import Quota
from orchestrator.images.sizes import find_sizes
from orchestrator.images.table import estimate
from orchestrator.types import Instance

GB = 10**9
HOUR_S = 3600.0
WINDOW_S = 6 * HOUR_S
BYTES_AIM = 1.1
HOURS_AIM = 1.03
HEADS = ("disk GB", "pulls in 6 h", "how", "pulled GB", "x", "stalled", "after 1 h", "peak GB")
HEADS += ("hours", "x forced")


@dataclass(frozen=True)
class Bench:
    instances: Sequence[Instance]
    sizes: Mapping[str, ImageSize]
    seconds: Mapping[str, float]
    options: argparse.Namespace

    @property
    def own_order(self) -> list[str]:
        return [instance.instance_id for instance in self.instances]

    @property
    def our_order(self) -> list[str]:
        return plan_order(self.instances, self.sizes, self.seconds, self.options.slots, 0)

    def night(self, order: Sequence[str], disk_gb: float, limit: int | None) -> Night:
        images = {i.instance_id: i.image for i in self.instances}
        work = [Work(n, images[n], self.seconds[n], self.options.grade_seconds) for n in order]
        reserve = round(self.options.reserve_gb * GB)
        quotas = {"docker.io": Quota(limit, limit, WINDOW_S)} if limit else {}
        return Night(
            work,
            self.sizes,
            registry_of,
            StoreSettings(reserve),
            round(disk_gb * GB) - reserve,
            self.options.slots,
            self.options.grade_slots,
            quotas=quotas,
            bytes_per_s=self.options.mbyte_s * 1e6,
            is_rolling=self.options.rolling,
        )

    def forced_s(self, limit: int | None) -> float:
        """No night is shorter: its rollouts fill all slots; or else those of the last window do,
        once it begins."""
        free_s = self.makespan_s(list(self.seconds.values()))
        if limit is None:
            return free_s
        before = (math.ceil(len(self.instances) / limit) - 1) * limit
        last = sorted(self.seconds.values())[: len(self.instances) - before]
        return max(free_s, before / limit * WINDOW_S + self.makespan_s(last))

    def makespan_s(self, seconds: Sequence[float]) -> float:
        return max(sum(seconds) / self.options.slots, max(seconds)) + self.options.grade_seconds

    def all_first_s(self, limit: int | None) -> float:
        """Everything pulled, then everything rolled out."""
        line_s = unique_bytes(self.sizes.values()) / (self.options.mbyte_s * 1e6)
        quota_s = 0.0
        if limit is not None:
            windows = math.ceil(len(self.instances) / limit)
            in_last = len(self.instances) - (windows - 1) * limit
            quota_s = (windows - 1) * WINDOW_S + line_s * in_last / len(self.instances)
        return max(line_s, quota_s) + self.makespan_s(list(self.seconds.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset-dir", type=Path, help="with the rows; else from the hub")
    parser.add_argument("--ask", action="store_true", help="registries for sizes")
    parser.add_argument("--disks-gb", type=float, nargs="+", default=[40, 60, 120])
    parser.add_argument("--limits", type=int, nargs="+", default=[0, 100, 200], help="0: none")
    parser.add_argument("--slots", type=int, default=6)
    parser.add_argument("--grade-slots", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="of a rollout, on average")
    parser.add_argument("--spread", action="store_true", help="rollouts of different lengths")
    parser.add_argument("--grade-seconds", type=float, default=40)
    parser.add_argument("--mbyte-s", type=float, default=25)
    parser.add_argument("--reserve-gb", type=float, default=5)
    parser.add_argument("--rolling", action="store_true", help="a quota's window rolls")
    options = parser.parse_args()
    bench = make_bench(options)
    console, began = Console(width=120), time.monotonic()
    total = unique_bytes(bench.sizes.values())
    guessed = sum(size.estimated for size in bench.sizes.values())
    console.print(
        f"{len(bench.instances)} images of {total / GB:.0f} GB in unique layers, about "
        f"{total * EXPANSION / GB:.0f} GB on disk ({guessed} sizes estimated); {options.slots} "
        f"slots, {options.seconds:g} s a rollout, {options.mbyte_s:g} Mbyte/s"
    )
    table = Table(*HEADS, title="pulled x: of unlimited disk; hours x: of what is forced")
    for limit in options.limits:
        for row in rows(bench, limit or None):
            table.add_row(*row)
        table.add_section()
    console.print(table)
    console.print(
        f"aims: at 60 GB pulled under x{BYTES_AIM:g}; without a quota none stalled after 1 h; "
        f"with one hours under x{HOURS_AIM:g}. Took {time.monotonic() - began:.0f} s."
    )


def make_bench(options: argparse.Namespace) -> Bench:
    settings = {"benchmark.dataset_dir": str(options.dataset_dir)} if options.dataset_dir else {}
    config = load_config(RunRequest("lite", agent="gold", settings=settings))
    instances = load_dataset(config.benchmark, config.selection).instances
    if options.ask:
        images = config.cluster.images
        sizes = find_sizes(instances, images, "linux/amd64", lambda registry: {})
    else:
        sizes = {instance.image: estimate(instance) for instance in instances}
    seconds = {i.instance_id: options.seconds * factor(i, options.spread) for i in instances}
    return Bench(instances, sizes, seconds, options)


def factor(instance: Instance, spread: bool) -> float:
    """From half to almost three times, with a long tail, the mean being about one."""
    digest = hashlib.sha256(instance.instance_id.encode()).digest()
    return 0.5 + 2.3 * (digest[0] / 255) ** 3.6 if spread else 1.0


def rows(bench: Bench, limit: int | None) -> list[list[str]]:
    unlimited = simulate(bench.night(bench.our_order, 10_000, limit))
    found = [row("any", limit, "all first", all_first(bench, limit), unlimited, bench)]
    for disk_gb in bench.options.disks_gb:
        for how, order in (("our order", bench.our_order), ("data set's", bench.own_order)):
            forecast = simulate(bench.night(order, disk_gb, limit))
            found.append(row(f"{disk_gb:g}", limit, how, forecast, unlimited, bench))
    return found


def all_first(bench: Bench, limit: int | None) -> Forecast:
    total = unique_bytes(bench.sizes.values())
    peak = round(total * EXPANSION)
    return Forecast(bytes=total, peak=peak, seconds=bench.all_first_s(limit))


def row(
    disk: str, limit: int | None, how: str, night: Forecast, unlimited: Forecast, bench: Bench
) -> list[str]:
    late = sum(stall.at_s > HOUR_S for stall in night.stalls)
    return [
        disk,
        str(limit or "any"),
        how,
        f"{night.bytes / GB:.1f}",
        f"{night.bytes / unlimited.bytes:.3f}",
        str(len(night.stalls)),
        str(late),
        f"{night.peak / GB:.0f}",
        f"{night.seconds / HOUR_S:.2f}",
        f"{night.seconds / bench.forced_s(limit):.3f}",
    ]


if __name__ == "__main__":
    main()
