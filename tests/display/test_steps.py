from __future__ import annotations

from support.rows import key_of

from orchestrator.agents.steps import Step
from orchestrator.display.steps import (
    ACTION_LINES,
    LINE_CHARS,
    NO_ACTION,
    OBSERVATION_LINES,
    THOUGHT_LINES,
    render_steps,
)
from orchestrator.worker.messages import Progress

LOOKED = Step("I look.", "ls -a", "a.py\nb.py")


def shown(*steps: Step, sent: int | None = None) -> list[str]:
    """The lines of an event that brings these steps."""
    event = Progress(key_of("an-id"), "agent", new_steps=steps, steps_sent=sent or len(steps))
    text = render_steps(event, "an-id")
    assert text is not None
    return [line.rstrip() for line in text.plain.splitlines()]


def lines(count: int) -> str:
    return "\n".join(f"line {number}" for number in range(1, count + 1))


def test_an_event_without_steps_shows_nothing() -> None:
    assert render_steps(Progress(key_of("an-id"), "agent", steps=3, steps_sent=3), "an-id") is None
    assert render_steps(Progress(key_of("an-id"), "harvest"), "an-id") is None


def test_a_step_shows_what_the_agent_thought_did_and_saw() -> None:
    assert shown(LOOKED) == [
        "── an-id step 1",
        "   I look.",
        " $ ls -a",
        " │ a.py",
        " │ b.py",
    ]


def test_every_line_of_a_command_has_its_margin() -> None:
    edit = Step("", "cat > f <<'EOF'\n\n    x = 1\nEOF", "")

    assert shown(edit)[1:] == [" $ cat > f <<'EOF'", " $", " $     x = 1", " $ EOF"]


def test_an_answer_without_an_action_says_that_nobody_could_read_one() -> None:
    assert shown(Step("I am done.", "", "(not one command)")) == [
        "── an-id step 1",
        "   I am done.",
        f" {NO_ACTION}",
        " │ (not one command)",
    ]
    assert shown(Step("", " \n", ""))[1:] == [f" {NO_ACTION}"]


def test_what_is_empty_takes_no_line() -> None:
    assert shown(Step("", "true", "")) == ["── an-id step 1", " $ true"]


def test_long_ones_are_shortened_and_say_by_how_much() -> None:
    said = shown(Step(lines(50), lines(60), lines(70)))

    thought = [line for line in said if line.startswith("   ")]
    action = [line for line in said if line.startswith(" $ ")]
    observation = [line for line in said if line.startswith(" │ ")]
    assert (len(thought), len(action), len(observation)) == (
        THOUGHT_LINES,
        ACTION_LINES,
        OBSERVATION_LINES,
    )
    assert thought[-2:] == [f"   line {THOUGHT_LINES - 1}", "   … 47 more lines"]
    assert action[-1] == f" $ … {60 - ACTION_LINES + 1} more lines"
    assert observation[-1] == f" │ … {70 - OBSERVATION_LINES + 1} more lines"


def test_what_just_fits_is_whole() -> None:
    said = shown(Step(lines(THOUGHT_LINES), lines(ACTION_LINES), lines(OBSERVATION_LINES)))

    assert not any("more lines" in line for line in said)
    assert len(said) == 1 + THOUGHT_LINES + ACTION_LINES + OBSERVATION_LINES


def test_one_line_too_many_takes_two_away() -> None:
    said = shown(Step(lines(THOUGHT_LINES + 1), "ls", ""))

    assert said[-2] == "   … 2 more lines"


def test_numbers_go_on_from_event_to_event() -> None:
    titles = [
        line
        for sent, new in ((2, 2), (3, 1), (6, 3))
        for line in shown(*[LOOKED] * new, sent=sent)
        if line.startswith("──")
    ]

    assert titles == [f"── an-id step {number}" for number in (1, 2, 3, 4, 5, 6)]


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    step = Step("[bold]not bold[/bold]", "echo [red]", "[/] \\[x]")

    assert shown(step)[1:] == ["   [bold]not bold[/bold]", " $ echo [red]", " │ [/] \\[x]"]


def test_tabs_keep_the_margin_straight() -> None:
    assert shown(Step("", "cat Makefile", "all:\n\techo"))[-2:] == [" │ all:", " │     echo"]


def test_nothing_in_a_step_moves_the_readers_cursor() -> None:
    odd = "a\x1b[2Jb\x1b]0;t\x07c\rd\x9b31me\u202ef\ud83d\0"

    assert shown(Step(odd, odd, odd))[1:] == [
        f"{margin}ab]0;tcd31mef\ufffd\ufffd" for margin in ("   ", " $ ", " │ ")
    ]


def test_a_line_of_a_command_is_not_the_whole_screen() -> None:
    (line,) = shown(Step("", "y" * 200_000, ""))[1:]

    assert line == " $ " + "y" * LINE_CHARS + "…"
