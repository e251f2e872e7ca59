"""Levels of the bench that are made up."""

from __future__ import annotations

from typing import Any

from orchestrator.bench.advice import Question
from orchestrator.bench.levels import Level, MeasuredAnswer
from orchestrator.endpoint.metrics import ServerMetrics

QUESTION = Question(seconds=60, pause_s=1, instances=300, steps=40, spread=20)


def answer(
    ended_s: float, lasts_s: float = 2.0, tokens: int = 200, pause_s: float = 1.0
) -> MeasuredAnswer:
    sent_s = ended_s - lasts_s
    return MeasuredAnswer(sent_s, sent_s, sent_s + 0.5, ended_s, pause_s, 5000, tokens)


def level(at_once: int, speed: float, preemptions: int | None = None, **more: Any) -> Level:
    """A level with one even answer a second, `speed` tokens each."""
    answers = tuple(answer(10.5 + i, 1.5, round(speed)) for i in range(60))
    server = None if preemptions is None else ServerMetrics(preemptions=preemptions)
    return Level(at_once, (10.0, 70.0), answers, server=server, **more)


def dead(at_once: int, **errors: int) -> Level:
    return Level(at_once, (10.0, 70.0), (), errors=errors)
