"""Classes found by a short name or by an import path; everything else is one clear line."""

from __future__ import annotations

import fractions
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.plugins import AGENTS, BACKENDS, find_class

KNOWN = {"fraction": "fractions:Fraction"}


def test_a_short_name_and_an_import_path_lead_to_the_same_class() -> None:
    assert find_class(KNOWN, "fraction") is fractions.Fraction
    assert find_class(KNOWN, "fractions:Fraction") is fractions.Fraction


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("fractoin", "known: fraction, or package.module:Class"),
        ("no_such_module:Class", "can't be imported"),
        ("fractions:NoSuchClass", "can't be imported"),
        ("fractions:math", "is no class"),
    ],
)
def test_what_leads_to_no_class_is_a_wrong_configuration(kind: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        find_class(KNOWN, kind)

    assert repr(kind) in str(caught.value)


def test_every_class_of_ours_is_named_by_an_import_path() -> None:
    for path in [*AGENTS.values(), *BACKENDS.values()]:
        module, _, name = path.partition(":")
        assert module.startswith("orchestrator.")
        assert name.isidentifier()


def test_a_module_that_raises_whatever_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_that_raises.py").write_text("undefined_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError, match="can't be imported: name 'undefined_name' is not"):
        find_class({}, "module_that_raises:Backend")
