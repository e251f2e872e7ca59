"""The chat template that a recipe names: downloaded here once, checked, kept in the user's cache.

Here and not on the GPU host: this host's way out (proxy, certificates) is known and named in
errors, what is wrong shows before anything changes there, and one copy serves every host.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from orchestrator.config.recipe import Recipe
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.network.connections import open_client, way_to
from orchestrator.network.problems import answer_words
from orchestrator.paths import write_atomic
from orchestrator.serving.docker_command import Template, own_template, template_of
from orchestrator.text_files import read_text
from orchestrator.user_paths import chat_template_file

OPTION = "--chat-template"
TIMEOUT_S = 30.0
MAX_BYTES = 1_000_000


def read_template(file: Path, recipe: Recipe, *, force: bool = False) -> tuple[Template, str]:
    """A person's own file, and its text.

    Raises:
        ConfigError: it can't be read; or it is not the recipe's, unless `force` takes it as it is.
    """
    text = read_text(file, f"{OPTION} {file}")
    found = _digest(text)
    wanted = template_of(recipe)
    if wanted and wanted.sha256 == found:
        return wanted, text
    if wanted and not force:
        raise ConfigError(
            f"{OPTION} {file} is not the file that recipe {recipe.name!r} names: its sha256 is "
            f"{found}, and {wanted.url} has {wanted.sha256}; --force takes it as it is"
        )
    return own_template(found, file.name), text


def fetch_template(template: Template) -> str:
    """The recipe's template: from the cache, or else from its address.

    Raises:
        PrerequisiteError: it can't be had, or is another file than the recipe means.
    """
    kept = chat_template_file(template.sha256)
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == template.sha256:
            return data.decode("utf-8")
    data = _download(template)
    if hashlib.sha256(data).hexdigest() != template.sha256:
        raise PrerequisiteError(
            f"{template.url} holds another file than the recipe means: its sha256 is "
            f"{hashlib.sha256(data).hexdigest()}, and should be {template.sha256}.",
            "A login page in between, or a tag that was moved? Correct the recipe's chat_template.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PrerequisiteError(
            f"{template.url} is no text in UTF-8.", "Correct the recipe's chat_template."
        ) from None
    with contextlib.suppress(OSError):  # a cache that can't be written costs the next download
        write_atomic(kept, data)
    return text


def _download(template: Template) -> bytes:
    import httpx

    way = way_to(template.url)
    cure = f"Or bring the file yourself: {OPTION} FILE."
    try:
        with open_client(template.url, timeout=TIMEOUT_S, follow_redirects=True) as client:
            reply = client.get(template.url)
    except httpx.HTTPError as error:
        problem = way.problem(error)
        raise PrerequisiteError(
            f"the chat template at {template.url} can't be had{way} ({problem.what}).",
            f"{problem.cure} {cure}".strip(),
        ) from None
    if reply.status_code != 200 or len(reply.content) > MAX_BYTES:
        words = answer_words(reply.status_code, location=reply.headers.get("Location"))
        raise PrerequisiteError(f"{template.url} answers {words}{way}.", cure)
    return reply.content


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
