"""Ctrl-C while a command goes on: one line, and the exit code of its own."""

from __future__ import annotations

import pytest
import typer

from orchestrator import cli, stop_signals
from orchestrator.errors import EXIT_INTERRUPTED


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        (KeyboardInterrupt(), EXIT_INTERRUPTED, "interrupted\n"),
        (typer.Exit(EXIT_INTERRUPTED), EXIT_INTERRUPTED, ""),  # it has told by itself
        (typer.Exit(4), 4, ""),
    ],
)
def test_an_interrupt_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: BaseException,
    code: int,
    says: str,
) -> None:
    app = typer.Typer()

    @app.command()
    def go_on() -> None:
        raise end

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(stop_signals, "interrupt_on_all", lambda: None)
    monkeypatch.setattr("sys.argv", ["orchestrator"])

    with pytest.raises(SystemExit) as caught:
        cli.main()

    assert caught.value.code == code
    assert capsys.readouterr().err == says
