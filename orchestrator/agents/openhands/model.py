"""OpenHands' LLM, whose answers come from the worker.

Runs in OpenHands' environment. All but the transport is OpenHands' own, such as its prompts that
stand for function calls where the model gets none.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from litellm.types.utils import (
    ChatCompletionMessageToolCall,
    Choices,
    Message,
    ModelResponse,
    Usage,
)
from openhands.sdk import LLM
from openhands.sdk.llm.exceptions import (
    FunctionCallConversionError,
    FunctionCallValidationError,
)
from pydantic import PrivateAttr

Ask = Callable[[list[dict[str, Any]], Any], dict[str, Any]]
"""Messages and tools of a request to the worker's answer."""
NAME = "openai/model"
"""No family of models has it, so that the prompts are those of any model."""
UNREADABLE = "[nested too deeply]"

_numbers = itertools.count(1)


class WorkerModel(LLM):
    """Asks no server, looks nothing up, and tries nothing again: the worker does."""

    _ask: Ask = PrivateAttr()

    @classmethod
    def of(cls, ask: Ask, native_tool_calling: bool, usage_id: str) -> WorkerModel:
        """A model for the agent, or for its condenser, as `usage_id` says."""
        model = cls(
            model=NAME,
            usage_id=usage_id,
            native_tool_calling=native_tool_calling,
            api_mode="chat",
            num_retries=0,
            timeout=None,
            caching_prompt=False,
            disable_vision=True,
            force_string_serializer=True,
            input_cost_per_token=0.0,
            output_cost_per_token=0.0,
        )
        model._ask = ask
        return model

    def resolve_runtime_metadata(self, *, force: bool = False) -> None:
        """It would ask the provider for its limits."""

    def _make_retry_decorator(self) -> Callable[[Any], Any]:
        return lambda call: call

    def _transport_call(
        self,
        *,
        messages: list[dict[str, Any]],
        enable_streaming: bool = False,
        on_token: Any = None,
        **settings: Any,
    ) -> ModelResponse:
        answer = self._ask(sendable(messages), settings.get("tools"))
        return response_of(answer)

    def post_response_prompt_mock(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """What can't be read is told to the model, as other errors of its calls are."""
        try:
            return super().post_response_prompt_mock(*args, **kwargs)
        except (FunctionCallConversionError, RecursionError) as error:
            raise FunctionCallValidationError(f"The call can't be read: {error}") from error


def sendable(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as every server takes them.

    Templates of some models want turns to alternate, and servers refuse answers that are empty.
    """
    plain: list[dict[str, Any]] = []
    for message in messages:
        message = dict(message)
        if message["role"] == "assistant":
            message["content"] = message.get("content") or (
                "" if message.get("tool_calls") else " "
            )
        if plain and message["role"] == plain[-1]["role"] == "user":
            plain[-1]["content"] += "\n\n" + message["content"]
        else:
            plain.append(message)
    return plain


def response_of(answer: dict[str, Any]) -> ModelResponse:
    """The worker's answer in the words of OpenHands' transport."""
    number = next(_numbers)
    calls = [
        ChatCompletionMessageToolCall(
            id=f"call_{number}_{index}",  # servers may give several one id
            type="function",
            function={
                "name": call["function"]["name"],
                "arguments": readable(call["function"]["arguments"]),
            },
        )
        for index, call in enumerate(answer["tool_calls"])
    ]
    message = Message(role="assistant", content=answer["content"], tool_calls=calls or None)
    finish_reason = "length" if answer["finish_reason"] == "length" else "stop"
    return ModelResponse(
        id=f"answer_{number}",
        model=NAME,
        choices=[Choices(message=message, finish_reason=finish_reason)],
        usage=Usage(**answer["usage"]),
    )


def readable(arguments: str) -> str:
    """Arguments that OpenHands can read, or complain about to the model: it crashes on deep ones."""
    try:
        json.loads(arguments)
    except RecursionError:
        return UNREADABLE
    except ValueError:
        pass
    return arguments
