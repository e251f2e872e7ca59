"""What the gateway's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.fake_model import FakeModelServer, Reply
from support.gateway_scene import Setup
from support.local_gateway import LocalGateway, model_at


@pytest.fixture
def setup() -> Iterator[Callable[..., Setup]]:
    """`setup(reply, servers=2, endpoint={…})`: the first one's script, the model's settings; and by
    run id in `profiles` what other runs set."""
    with ExitStack() as stack:

        def make(*script: Reply, servers: int = 1, api_key: str = "", **settings: Any) -> Setup:
            upstreams = [stack.enter_context(FakeModelServer()) for _ in range(servers)]
            upstreams[0].script = list(script)
            others = settings.pop("profiles", {})
            model = model_at(*(upstream.base_url for upstream in upstreams), **settings)
            profiles = {run: model.model_copy(update=theirs) for run, theirs in others.items()}
            gateway = LocalGateway(model, api_key=api_key, profiles=profiles)
            stack.enter_context(gateway)
            return Setup(gateway, upstreams)

        yield make
