"""Manifests of every form are read, and what is none is one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.registries import DOCKER_MANIFEST, digest_of, manifest_of

from orchestrator.images.manifests import OCI_INDEX, OCI_MANIFEST, Index, Manifest, parse_manifest
from orchestrator.images.pulls import PullFailed, PullProblem

D1, D2, D3 = (f"sha256:{digit * 64}" for digit in "123")
LAYER = {"digest": D2, "size": 5}
SINGLE = {"schemaVersion": 2, "config": {"digest": D1, "size": 9}, "layers": [LAYER]}


def parse(found: Any, form: str = OCI_MANIFEST) -> Manifest | Index:
    raw = found if isinstance(found, bytes) else json.dumps(found).encode()
    return parse_manifest(raw, form, "a/b:latest")


def test_a_manifest_tells_layers_sizes_and_its_own_digest() -> None:
    raw, config = manifest_of([b"one", b"three"])

    found = parse(raw)

    assert isinstance(found, Manifest)
    assert [layer.size for layer in found.layers] == [3, 5]
    assert found.config.digest == digest_of(config)
    assert found.size.digest == digest_of(raw)
    assert not found.size.estimated
    assert found.media_type == DOCKER_MANIFEST


def test_a_manifest_of_ocis_form_may_leave_its_type_to_the_header() -> None:
    found = parse(SINGLE, f"{OCI_MANIFEST}; charset=utf-8")

    assert isinstance(found, Manifest)
    assert found.media_type == OCI_MANIFEST


def entry(digest: str, platform: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": platform}


ARM = entry(D1, {"os": "linux", "architecture": "arm64", "variant": "v8"})
AMD = entry(D2, {"os": "linux", "architecture": "amd64"})
ATTESTATION = entry(D3, {"os": "unknown", "architecture": "unknown"})


@pytest.mark.parametrize(
    ("entries", "platform", "chosen"),
    [
        ([ARM, AMD, ATTESTATION], "linux/amd64", D2),
        ([AMD, ARM], "linux/arm64", D1),
        ([entry(D3, None), AMD], "linux/amd64", D2),
        ([{"digest": D3}, AMD], "linux/amd64", D2),
    ],
)
def test_of_several_platforms_the_wanted_one_is_chosen(
    entries: list[Any], platform: str, chosen: str
) -> None:
    found = parse({"schemaVersion": 2, "manifests": entries}, OCI_INDEX)

    assert isinstance(found, Index)
    assert found.choose(platform, "a") == chosen


@pytest.mark.parametrize("entries", [[ARM], [ATTESTATION], []])
def test_an_image_that_is_not_there_for_the_platform_is_refused(entries: list[Any]) -> None:
    found = parse({"schemaVersion": 2, "manifests": entries})
    assert isinstance(found, Index)

    with pytest.raises(PullFailed, match="not there for linux/amd64") as caught:
        found.choose("linux/amd64", "a")

    assert caught.value.failure.problem is PullProblem.REFUSED


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"<html>log in first</html>",
        b"{",
        b"[" * 100_000,
        b"null",
        [],
        {},
        {"schemaVersion": 1, "fsLayers": []},
        {"layers": None},
        {"layers": {}},
        {**SINGLE, "config": None},
        {**SINGLE, "layers": [None]},
        {**SINGLE, "layers": [{"digest": D1}]},
        {**SINGLE, "layers": [{"digest": "sha256:12", "size": 1}]},
        {**SINGLE, "layers": [{"digest": D1, "size": -1}]},
        {**SINGLE, "layers": [{"digest": D1, "size": True}]},
        {**SINGLE, "layers": [{"digest": D1, "size": 1.5}]},
        {**SINGLE, "layers": [{"digest": D1, "size": 10**30}]},
        {**SINGLE, "layers": [{"digest": ["x"], "size": 1}]},
        {"manifests": [None]},
        {"manifests": [{"digest": 3}]},
        b'{"layers": NaN}',
    ],
)
def test_what_is_no_manifest_is_one_line(found: Any) -> None:
    with pytest.raises(PullFailed) as caught:
        parse(found)

    assert "a/b:latest" in caught.value.failure.detail
    assert "\n" not in caught.value.failure.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([D1, LAYER]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["layers", "config", "manifests", "digest", "size", "platform", "os"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.fuzz
@given(JSON)
def test_no_answer_of_a_registry_ends_in_a_traceback(found: Any) -> None:
    try:
        parsed = parse(found)
        if isinstance(parsed, Index):
            parsed.choose("linux/amd64", "a")
    except PullFailed:
        pass
