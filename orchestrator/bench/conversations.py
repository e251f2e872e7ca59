"""What `bench` sends: conversations that grow as an agent's do. Pure, but for the nonces' origin.

The first message is a system prompt that the agents of a level share; from the second on nothing is
shared. Sizes are in tokens, and come true as far as `chars_per_token` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

MARGIN = 0.05
"""Of the context is left free: before the server counts tokens they are estimated."""
_SYSTEM, _ISSUE = 600, 3000
_OBSERVATION, _ANSWER = (250, 1500), (150, 300)
_NAMES = ("ledger", "parcel", "rate", "entry", "queue", "cursor", "batch", "schema", "worker")
_LINES = (
    "    def {a}_{b}(self, {c}: {A}{B}, limit: int = {n}) -> dict[str, {C}]:\n",
    "        if self.{a}.{b} is None or {c}.{a} > {n}:\n",
    "            raise ValueError(f'{a} {{{b}!r}} has no {c}')\n",
    "        for {a} in sorted(self._{b}, key=lambda {c}: {c}.{a}):\n",
    "            self.{c}[{a}.{b}] = {A}{C}({b}={n}, {c}={a})\n",
    "tests/{a}/test_{b}.py::test_{c}_{a} PASSED    [ {n}%]\n",
    "E       AssertionError: assert {a}.{b} == {n}\n",
    "diff --git a/src/{a}/{b}.py b/src/{a}/{b}.py\n",
)


@dataclass(frozen=True)
class Shape:
    """A conversation's sizes in tokens, made to fit into a context."""

    context: int
    steps: int
    """Answers after which a conversation ends, unless the context ends it earlier."""
    system: int
    issue: int
    observation: tuple[int, int]
    """Smallest and largest, small ones being likelier."""
    answer: tuple[int, int]

    @property
    def expected_steps(self) -> int:
        """Answers that a conversation of average sizes comes to."""
        low, high = self.observation
        step = (2 * low + high) / 3 + sum(self.answer) / 2
        room = self.context * (1 - MARGIN) - self.system - self.issue - self.answer[1]
        return max(1, min(self.steps, 1 + int(room / step)))


def shape_for(context: int, steps: int) -> Shape:
    """An agent's usual sizes, less where the context is small (4096 tokens hold five steps)."""
    return Shape(
        context=context,
        steps=steps,
        system=min(_SYSTEM, context // 16),
        issue=min(_ISSUE, context // 4),
        observation=(min(_OBSERVATION[0], context // 16), min(_OBSERVATION[1], context // 8)),
        answer=(min(_ANSWER[0], context // 16), min(_ANSWER[1], context // 8)),
    )


def code_text(random: Random, chars: int) -> str:
    """So many characters that look like code, tests' output and diffs."""
    lines: list[str] = []
    left = chars
    while left > 0:
        a, b, c = random.choices(_NAMES, k=3)
        words = {"a": a, "b": b, "c": c, "A": a.title(), "B": b.title(), "C": c.title()}
        line = random.choice(_LINES).format(**words, n=random.randrange(100))
        lines.append(line)
        left -= len(line)
    return "".join(lines)[:chars]


class Conversation:
    """One simulated rollout's messages, and how many tokens the next prompt takes."""

    def __init__(
        self,
        shape: Shape,
        random: Random,
        chars_per_token: float,
        session: str,
        nonce: str,
        age: int = 0,
    ) -> None:
        """`session` opens the prompt that a level's agents share, `nonce` what this one says.

        `age` answers lie behind it already, as far as they fit.
        """
        self._shape = shape
        self._random = random
        self._chars_per_token = chars_per_token
        self._answers = 0
        # the shared part must be the same for all agents, whose generators differ
        system = code_text(Random(session), self._chars(shape.system))
        issue = self._text(shape.issue)
        self.messages = [
            {"role": "system", "content": f"Session {session}. You mend code.\n{system}"},
            {"role": "user", "content": f"Task {nonce}. Mend this:\n{issue}"},
        ]
        self._tokens = shape.system + shape.issue
        for _ in range(age):
            said, seen = self.answer_tokens(), self._observation_tokens()
            if self._tokens + said + seen + shape.answer[1] > self._room:
                break
            self._append(self._text(said), self._text(seen))
            self._tokens += said + seen

    @property
    def is_over(self) -> bool:
        """No steps are left, or the next answer might not fit."""
        return (
            self._answers >= self._shape.steps or self._tokens + self._shape.answer[1] > self._room
        )

    def answer_tokens(self) -> int:
        """How long the next answer is to be."""
        return self._random.randint(*self._shape.answer)

    def add(self, answer: str, tokens: int) -> None:
        """An answer, and what its command printed. `tokens`: prompt and answer as counted."""
        seen = self._observation_tokens()
        self._append(answer, self._text(seen))
        self._tokens = tokens + seen

    def _append(self, answer: str, observation: str) -> None:
        self.messages.append({"role": "assistant", "content": answer})
        self.messages.append({"role": "user", "content": f"<output>\n{observation}</output>"})
        self._answers += 1

    @property
    def _room(self) -> float:
        return self._shape.context * (1 - MARGIN)

    def _observation_tokens(self) -> int:
        low, high = self._shape.observation
        return round(self._random.triangular(low, high, low))

    def _chars(self, tokens: int) -> int:
        return round(tokens * self._chars_per_token)

    def _text(self, tokens: int) -> str:
        return code_text(self._random, self._chars(tokens))
