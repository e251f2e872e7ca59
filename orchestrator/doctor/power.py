"""Whether a host goes to sleep in the midst of a night, by what its system says. Pure.

macOS: `pmset -g` shows what is in use now, `pmset -g batt` from where the power comes (man pmset).
Linux: logind sleeps when all sessions are idle, or a lid is closed (man logind.conf); a desktop's
own daemon sleeps by settings of its own; neither can where sleep.target is masked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

AWAKE_MAC = "`sudo pmset -c sleep 0`, or start the run by `caffeinate -i`."
AWAKE_LINUX = (
    "start the run by `systemd-inhibit --what=idle:sleep`, or `sudo systemctl mask sleep.target "
    "suspend.target hibernate.target`."
)
KEEPERS = ("caffeinate", "Amphetamine", "KeepingYouAwake", "Lungo")
"""Programs that a person starts to keep a Mac awake. Others that do (powerd: while the display is
on) end by themselves."""
SLEEPS = ("suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "sleep")
"""What logind may do that ends a night."""
_SLEEP = re.compile(r"^\s*sleep\s+(\d+)(?:\s+\((?:sleep )?prevented by (.*)\))?\s*$", re.M)
_DISABLED = re.compile(r"^\s*SleepDisabled\s+1\s*$", re.M)
_SETTING = re.compile(r"^\s*(\w+)\s*=\s*(.*?)\s*$", re.M)


@dataclass(frozen=True)
class Power:
    """What a host does when nobody is at it."""

    what: str
    """For people."""
    cure: str = ""
    """Of what would end the night; empty where nothing would."""

    @property
    def sleeps(self) -> bool:
        return bool(self.cure)


def read_mac(in_use: str, battery: str) -> Power:
    """From what `pmset -g` and `pmset -g batt` print; empty where they can't be run."""
    if "'Battery Power'" in battery:
        return Power("this Mac runs on its battery, and sleeps when that is low", "Plug it in.")
    is_laptop = "InternalBattery" in battery
    lid = "; one with a lid does when that is closed" if is_laptop else ""
    if _DISABLED.search(in_use):
        return Power("this Mac never sleeps (SleepDisabled)")
    found = _SLEEP.search(in_use)
    if found is None:
        return Power("pmset does not say when this Mac sleeps")
    minutes, keepers = int(found[1]), found[2] or ""
    if minutes == 0:
        return Power(f"this Mac never sleeps by itself (pmset: sleep 0){lid}")
    awake = [name for name in KEEPERS if name in keepers]
    if awake:
        return Power(f"{awake[0]} keeps this Mac awake while it runs{lid}")
    return Power(
        f"this Mac sleeps when nobody was at it for {minutes} min (pmset: sleep {minutes})",
        AWAKE_MAC,
    )


def read_linux(
    targets: str, logind: str, desktop: str = "", *, has_lid: bool = False, on_battery: bool = False
) -> Power:
    """From what these print, each empty where it can't be run: `systemctl is-enabled sleep.target`,
    `systemd-analyze cat-config systemd/logind.conf`, and of a desktop that is up `gsettings get
    org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type`, and -timeout in another line.
    """
    if on_battery:
        return Power("this host runs on its battery", "Plug it in.")
    if targets.strip() == "masked":
        return Power("this host can't sleep (sleep.target is masked)")
    settings = {match[1].lower(): match[2] for match in _SETTING.finditer(logind)}
    if (action := settings.get("idleaction", "ignore")) in SLEEPS:
        return Power(
            f"this host does `{action}` when its sessions are idle (IdleAction of logind.conf)",
            f"{AWAKE_LINUX[:1].upper()}{AWAKE_LINUX[1:]}",
        )
    if (seconds := _desktop_sleeps_after(desktop)) is not None:
        return Power(
            f"its desktop suspends this host when nobody was at it for {seconds // 60} min",
            "`gsettings set org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type "
            f"nothing`, {AWAKE_LINUX}",
        )
    lid = settings.get("handlelidswitchexternalpower", settings.get("handlelidswitch", "suspend"))
    if has_lid and lid in SLEEPS:
        return Power("nothing lets this host sleep while its lid is open")
    return Power("nothing lets this host sleep")


def _desktop_sleeps_after(said: str) -> int | None:
    """Seconds; None where a desktop lets it be, or there is none."""
    words = said.replace("'", "").split()
    if len(words) != 2 or words[0] not in SLEEPS or not words[1].isdecimal():
        return None
    return int(words[1]) or None
