#!/usr/bin/env python3
"""Rollouts an hour under the admission controller, against the best fixed number of them at once.

    scripts/bench_admission.py

In the simulator, for servers with a small, a middling and a large KV cache. A night is 300 rollouts
with 32 slots, from the first start to the last end: the drain, with ever fewer under way, counts
on both sides. The best fixed number is found by trying them: the best on average over the seeds.
The controller's constants were chosen on seeds 1 to 16; those here are others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.driver.admission import Admission
from orchestrator.report.markdown import bar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from simulation.simulated_night import SimulatedNight, draw_rollouts, run_under
from simulation.vllm_simulator import ServerProfile, SimulatedServer

AIM_OF_BEST = 0.95
AIM_OF_ANY = 0.90
SHOWN = (4, 8, 16, 32)
TRIED = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 32)


@dataclass(frozen=True)
class Measured:
    """Rollouts an hour, seed by seed."""

    kv_tokens: int
    fixed: Mapping[int, Sequence[float]]
    seen: Sequence[float]
    """Under the controller."""
    blind: Sequence[float]
    """The same without the server's metrics."""

    @property
    def best(self) -> int:
        return max(self.fixed, key=lambda n: mean(self.fixed[n]))

    def of_best(self, controlled: Sequence[float]) -> float:
        return mean(controlled) / mean(self.fixed[self.best])

    def worst_of_best(self, controlled: Sequence[float]) -> float:
        """Of the seeds."""
        return min(c / f for c, f in zip(controlled, self.fixed[self.best], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kv-tokens", type=int, nargs="+", default=[80_000, 350_000, 1_500_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33, 34, 35, 36])
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--rollouts", type=int, default=300)
    options = parser.parse_args()
    began = time.monotonic()
    measured = [measure(kv_tokens, options) for kv_tokens in options.kv_tokens]
    print_table(measured, options)
    print(f"took {time.monotonic() - began:.0f} s")


def measure(kv_tokens: int, options: argparse.Namespace) -> Measured:
    def rate(seed: int, limit: int | None, sees_metrics: bool = True) -> float:
        server = SimulatedServer(ServerProfile(kv_tokens))
        night = SimulatedNight(draw_rollouts(options.rollouts, seed), server, limit or 1)
        if limit is None:
            run_under(Admission(options.slots), night, sees_metrics)
        else:
            night.advance(float("inf"))
        return 3600 * len(night.finished_s) / night.finished_s[-1]

    tried = sorted({n for n in (*TRIED, options.slots) if n <= options.slots})
    return Measured(
        kv_tokens,
        {n: [rate(seed, n) for seed in options.seeds] for n in tried},
        [rate(seed, None) for seed in options.seeds],
        [rate(seed, None, sees_metrics=False) for seed in options.seeds],
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def print_table(measured: Sequence[Measured], options: argparse.Namespace) -> None:
    console = Console(width=140)
    shown = [n for n in SHOWN if n <= options.slots]
    table = Table(
        title=f"rollouts an hour; aims {AIM_OF_BEST:g} of the best fixed number, "
        f"{AIM_OF_ANY:g} of any"
    )
    heads = ("KV tokens", *(f"fixed {n}" for n in shown), "best fixed")
    for head in (
        *heads,
        "controlled",
        "of best",
        "worst seed",
        "no metrics",
        "of best",
        "worst seed",
    ):
        table.add_column(head, justify="right")
    for m in measured:
        table.add_row(
            f"{m.kv_tokens:,}",
            *(f"{mean(m.fixed[n]):.1f}" for n in shown),
            f"{mean(m.fixed[m.best]):.1f} ({m.best})",
            *(
                text
                for rates in (m.seen, m.blind)
                for text in (
                    f"{mean(rates):.1f}",
                    f"{m.of_best(rates):.3f}",
                    f"{m.worst_of_best(rates):.3f}",
                )
            ),
        )
    console.print(table)
    for m in measured:
        print_picture(m, console)


def print_picture(m: Measured, console: Console) -> None:
    """Every number that was tried, and the controller, as bars."""
    rows = {f"{n:>2} fixed": mean(rates) for n, rates in m.fixed.items()}
    rows |= {"controlled": mean(m.seen), "no metrics": mean(m.blind)}
    most = max(rows.values())
    console.print(f"\n{m.kv_tokens:,} tokens of KV cache")
    for name, rate in rows.items():
        console.print(f"{name:>10} {bar(round(10 * rate), round(10 * most), 40)} {rate:.1f}")


if __name__ == "__main__":
    sys.exit(main())
