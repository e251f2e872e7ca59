#!/usr/bin/env python3
"""Rollouts an hour under the admission controller, against the best fixed number of them at once.

    scripts/bench_admission.py

Under the real driver in simulated time, for servers with a small, a middling and a large KV cache.
A night is 300 rollouts with 32 slots, from the first start to the last end: the drain, with ever
fewer under way, counts on both sides. The best fixed number is found by trying them: the best on
average over the seeds. `measured` is the controller that starts from that number, as if `bench` had
found it. The controller's constants were chosen on seeds 1 to 16; those here are
others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.driver.admission import Admission, first_limit
from orchestrator.report.markdown import bar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from simulation.planned_rollouts import NO_LIMITS, draw_rollouts
from simulation.simulated_night import SimulatedNight
from simulation.vllm_simulator import ServerProfile

AIM_OF_BEST = 0.95
AIM_OF_ANY = 0.90
SHOWN = (4, 8, 16, 32)
SHIPPED = 8
"""The slots of `workers: auto`, which are the shipped profiles' max_concurrency."""
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
    shipped: Sequence[float]
    """The same with as few slots as are shipped, which is all that the controller may use then."""
    started: Sequence[float]
    """Under the controller, which was told the best fixed number."""
    started_blind: Sequence[float]
    """The same without the server's metrics."""

    @property
    def of_shipped(self) -> float:
        """What the controller makes of them, over simply using them all."""
        return mean(self.shipped) / mean(self.fixed[SHIPPED])

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
    with ProcessPoolExecutor() as pool:
        measured = [measure(kv_tokens, options, pool) for kv_tokens in options.kv_tokens]
    print_table(measured, options)
    print(f"took {time.monotonic() - began:.0f} s")


@dataclass(frozen=True)
class Case:
    """One night."""

    kv_tokens: int
    rollouts: int
    seed: int
    slots: int
    controlled: bool
    """Under the controller; else as many at once as there are slots."""
    sees_metrics: bool = True
    measured: int | None = None
    """What the controller is told that the server is worth."""


def rate(case: Case) -> float:
    """Rollouts an hour."""
    night = SimulatedNight(
        draw_rollouts(case.rollouts, case.seed),
        profile=ServerProfile(case.kv_tokens),
        limits=NO_LIMITS,
        slots=case.slots,
        admission=Admission(case.slots, first_limit(case.measured)) if case.controlled else None,
        request_timeout_s=float("inf"),
        sees_metrics=case.sees_metrics,
        seed=case.seed,
    )
    finished_s = night.run().finished_s
    return 3600 * len(finished_s) / finished_s[-1]


def measure(kv_tokens: int, options: argparse.Namespace, pool: Executor) -> Measured:
    def rates(
        slots: int, controlled: bool, sees_metrics: bool = True, measured: int | None = None
    ) -> Future[list[float]]:
        cases = [
            Case(kv_tokens, options.rollouts, seed, slots, controlled, sees_metrics, measured)
            for seed in options.seeds
        ]
        return pool.submit(all_rates, cases)

    tried = sorted({n for n in (*TRIED, options.slots) if n <= options.slots} | {SHIPPED})
    fixed = {n: rates(n, False) for n in tried}
    seen, blind = rates(options.slots, True), rates(options.slots, True, sees_metrics=False)
    shipped = rates(SHIPPED, True, sees_metrics=False)
    by_number = {n: r.result() for n, r in fixed.items()}
    best = max(by_number, key=lambda n: mean(by_number[n]))
    started = rates(options.slots, True, measured=best)
    started_blind = rates(options.slots, True, sees_metrics=False, measured=best)
    return Measured(
        kv_tokens,
        by_number,
        seen.result(),
        blind.result(),
        shipped.result(),
        started.result(),
        started_blind.result(),
    )


def all_rates(cases: Sequence[Case]) -> list[float]:
    return [rate(case) for case in cases]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def print_table(measured: Sequence[Measured], options: argparse.Namespace) -> None:
    console = Console(width=200)
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
        f"no metrics, {SHIPPED} slots",
        f"over fixed {SHIPPED}",
        "measured",
        "of best",
        "no metrics",
        "of best",
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
            f"{mean(m.shipped):.1f}",
            f"{m.of_shipped:.2f}",
            *(
                text
                for rates in (m.started, m.started_blind)
                for text in (f"{mean(rates):.1f}", f"{m.of_best(rates):.3f}")
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
