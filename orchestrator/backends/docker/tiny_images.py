"""Images of our own making: a static program of a few bytes, and nothing else. Pure."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Mapping

_MACHINES = {"amd64": 62, "arm64": 183, "riscv64": 243}
"""ELF's numbers."""
_ADDRESS, _PAGE = 0x400000, 0x10000


def static_program(platform: str, codes: Mapping[str, str]) -> bytes | None:
    """An ELF program for Linux of machine code; None for platforms that there is no code for.

    `codes` has it in hexadecimal digits, by architecture.
    """
    system, _, architecture = platform.partition("/")
    architecture = architecture.partition("/")[0]
    if system != "linux" or architecture not in codes:
        return None
    code = bytes.fromhex(codes[architecture])
    start = 64 + 56  # the headers' sizes
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    entry, machine = _ADDRESS + start, _MACHINES[architecture]
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    size = start + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, _PAGE)
    return ident + header + segment + code


def image_archive(program: bytes, platform: str, name: str) -> bytes:
    """An image as `docker save` writes it: every engine loads it, whatever its image store."""
    layer = _tar({"program": program})
    system, architecture, *variant = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "config": {"Entrypoint": ["/program"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "swe-orchestrator"}],
        "created": "2000-01-01T00:00:00Z",
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
            "layer.tar": layer,
        }
    )


def _tar(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()
