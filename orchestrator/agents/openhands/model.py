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
Note = Callable[[str, str], None]
"""Takes what is wrong with a call that is text, in the words of our `CallProblem` (empty for
nothing), and its details."""
UNREADABLE = "[nested too deeply]"
PROBLEMS = (
    ("not found in available tools", "unknown tool"),
    ("Missing required parameters", "missing parameters"),
    ("Parameter ", "wrong parameters"),
)
"""How OpenHands' complaints of a call that is text are told apart."""

_numbers = itertools.count(1)


class WorkerLLM(LLM):
    """Asks no server, looks nothing up, and tries nothing again: the worker does."""

    _ask: Ask = PrivateAttr()
    _note: Note = PrivateAttr()

    @classmethod
    def of(cls, ask: Ask, note: Note, native_tool_calling: bool, usage_id: str) -> WorkerLLM:
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
        model._ask, model._note = ask, note
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
        """Find the call in an answer's text. What can't be read is told to the model, as other
        errors of its calls are."""
        try:
            response: ModelResponse = super().post_response_prompt_mock(*args, **kwargs)
        except FunctionCallValidationError as error:
            self._note(problem_of(str(error)), str(error))
            raise
        except (FunctionCallConversionError, RecursionError) as error:
            self._note("malformed", str(error))
            raise FunctionCallValidationError(f"The call can't be read: {error}") from error
        choice = response.choices[0]
        nothing = "cut off" if choice.finish_reason == "length" else "no call"
        self._note("" if choice.message.tool_calls else nothing, "")
        return response


def problem_of(complaint: str) -> str:
    """What was wrong with a call, by what OpenHands says of it."""
    return next((problem for words, problem in PROBLEMS if words in complaint), "malformed")


def sendable(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as every server takes them.

    Templates of some models want turns to alternate, and servers refuse answers that are empty.
    """
    plain: list[dict[str, Any]] = []
    for message in messages:
        message = dict(message)
        if message["role"] == "assistant":
            least = "" if message.get("tool_calls") else " "
            message["content"] = message.get("content") or least
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
    """Arguments that OpenHands can read, or complain about. It crashes on deep ones."""
    try:
        json.loads(arguments)
    except RecursionError:
        return UNREADABLE
    except ValueError:
        pass
    return arguments
