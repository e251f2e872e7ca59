"""What a profile may name as a mirror of images; what it may not is one line before the night."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.config import RunRequest, load_config
from orchestrator.config.cluster import Images
from orchestrator.errors import ConfigError


@pytest.mark.parametrize(
    "host",
    [
        "spark:5000",
        "localhost:5000",
        "localhost",
        "100.101.102.103:5000",
        "[fd7a:115c::1]:5000",
        "registry.example.com",
        "spark.tail1234.ts.net:443",
        "my-mac.local:5000",
    ],
)
def test_a_mirror_is_a_host_and_perhaps_a_port(host: str) -> None:
    assert Images(mirror=host).mirror == host


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("mirror", "http://spark:5000", "scheme"),
        ("mirror", "https://registry.example.com", "scheme"),
        ("mirror", "spark:5000/swebench", "cluster.images.namespace"),
        ("mirror", "registry.example.com/", "path"),
        ("mirror", "Spark:5000", "write 'spark:5000'"),
        ("mirror", "spark", "spark:5000"),
        ("mirror", "", "no host"),
        ("mirror", "my spark:5000", "no host"),
        ("mirror", "spark:http", "no host"),
        ("mirror", "user@spark:5000", "no host"),
        ("mirror", "spark:70000", "no port 70000"),
        ("mirror", "spark:0", "no port 0"),
        ("mirror", "spark:", "no host"),
        ("namespace", "Team/swebench", "upper-case"),
        ("namespace", "/team", "no path"),
        ("namespace", "team/", "no path"),
        ("namespace", "", "no path"),
        ("namespace", "team swebench", "no path"),
        ("namespace", "team:v1", "no path"),
        ("namespace", "a" * 200, "characters"),
        ("tag", "{version}", "only {tag}, {name}, {instance}"),
        ("tag", "{}", "only {tag}"),
        ("tag", "{0}", "only {tag}"),
        ("tag", "{tag.upper}", "only {tag}"),
        ("tag", "{tag!r}", "only {tag}"),
        ("tag", "{tag:>10}", "only {tag}"),
        ("tag", "{tag", "no pattern"),
        ("tag", "tag}", "no pattern"),
        ("tag", "", "makes no tag"),
        ("tag", "{{tag}}", "makes no tag"),
        ("tag", "-{tag}", "makes no tag"),
        ("tag", "a/{tag}", "makes no tag"),
        ("tag", "{name}:{tag}", "makes no tag"),
    ],
)
def test_what_names_no_mirror_is_refused(key: str, value: str, says: str) -> None:
    with pytest.raises(ValidationError, match=r".") as caught:
        Images.model_validate({key: value})

    (error,) = caught.value.errors()
    assert error["loc"] == (key,)
    assert says in error["msg"]


def test_a_wrong_mirror_is_one_line_that_names_the_key() -> None:
    request = RunRequest(
        "smoke", agent="gold", settings={"cluster.images.mirror": "http://spark:5000"}
    )

    with pytest.raises(ConfigError, match=r"cluster\.images\.mirror.*scheme") as caught:
        load_config(request)

    assert "\n" not in str(caught.value)
