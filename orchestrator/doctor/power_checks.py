"""Power settings that let the host sleep."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.doctor.power import Power, read_linux, read_mac

TIMEOUT_S = 5
DESKTOP_DAEMON = "gsd-power"
"""Of GNOME, and of Ubuntu's desktop: it lets a host sleep."""
GNOME_POWER = "org.gnome.settings-daemon.plugins.power"
LIDS = Path("/proc/acpi/button/lid")


class PowerSettings(Check):
    """This host sleeps when nobody is at it, and with it the run."""

    name = "power"
    depth = Depth.DOCTOR

    def applies(self, case: Case) -> bool:
        return case.has_work

    def look(self, case: Case) -> Iterator[CheckFinding]:
        power = _of_mac() if sys.platform == "darwin" else _of_linux()
        yield warned(power.what, power.cure) if power.sleeps else passed(power.what)


def _of_mac() -> Power:
    return read_mac(_said("pmset", "-g"), _said("pmset", "-g", "batt"))


def _of_linux() -> Power:
    battery = psutil.sensors_battery()
    desktop = ""
    if any(process.info["name"] == DESKTOP_DAEMON for process in psutil.process_iter(["name"])):
        keys = ("sleep-inactive-ac-type", "sleep-inactive-ac-timeout")
        desktop = "\n".join(_said("gsettings", "get", GNOME_POWER, key) for key in keys)
    return read_linux(
        _said("systemctl", "is-enabled", "sleep.target"),
        _said("systemd-analyze", "cat-config", "systemd/logind.conf"),
        desktop,
        has_lid=LIDS.is_dir() and any(LIDS.iterdir()),
        on_battery=battery is not None and battery.power_plugged is False,
    )


def _said(*command: str) -> str:
    """What a program prints; nothing where it is not there, hangs, or has nothing to say."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
        )
        return done.stdout
    return ""
