"""Why work waits for images, in words. Pure."""

from __future__ import annotations

from orchestrator.images.decisions import StoreHold
from orchestrator.images.node import Node, Wait
from orchestrator.images.pulls import PullProblem, Quota

ASK_QUOTA_EVERY_S = 120.0
"""While it is spent. The question counts as no pull."""
_GIVES_NOTHING = {
    PullProblem.QUOTA: "{} gives no more images for now",
    PullProblem.AWAY: "{} is away",
    PullProblem.ENGINE: "the engine takes no images",
    PullProblem.NO_ROOM: "the images' disk is full",
}


def low_disk(node: Node) -> StoreHold:
    text = f"{_disk_of(node)} has less free than its reserve: rollouts wait for room"
    return StoreHold(text, f"disk {node.low_since}")


def no_room(node: Node) -> StoreHold:
    text = f"{_disk_of(node)} holds no further image: rollouts wait for what is there to be over"
    return StoreHold(text, f"room {node.name}")


def nothing_given(wait: Wait, registry: str) -> StoreHold:
    words = _GIVES_NOTHING[wait.problem].format(registry)
    text = f"{words}: what waits for one is held ({wait.why})"
    return StoreHold(text, f"{wait.problem} {registry} {wait.since}", wait.until)


def ask_every_s(quota: Quota | None) -> float:
    """How often a registry is asked for a quota that is spent: in a short window more often."""
    return ASK_QUOTA_EVERY_S if quota is None else min(ASK_QUOTA_EVERY_S, quota.window_s)


def quota_spent(node: Node, registry: str, quota: Quota, now: float) -> StoreHold:
    """Until a pull of this run is out of the registry's window; else until it is asked again."""
    began = [at for at in node.spent_at.get(registry, ()) if at > now - quota.window_s]
    until = node.asked_at.get(registry, now) + ask_every_s(quota)
    if began:
        until = max(until, began[0] + quota.window_s)
    text = f"{registry} gives no more of {quota.limit} pulls in its window: images wait"
    return StoreHold(text, f"quota {registry}", until)


def _disk_of(node: Node) -> str:
    return f"the images' disk of {node.name}" if node.name else "the images' disk"
