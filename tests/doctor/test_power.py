"""What systems say of their sleep, as they print it, and what is made of it."""

from __future__ import annotations

import pytest

from orchestrator.doctor.power import read_linux, read_mac

MINI = """System-wide power settings:
Currently in use:
 standby              0
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 powernap             1
 networkoversleep     0
 disksleep            10
 sleep                {sleep}
 hibernatemode        0
 ttyskeepawake        1
 displaysleep         10
 tcpkeepalive         1
 womp                 1
"""
PLUGGED_IN = "Now drawing from 'AC Power'\n"
LAPTOP = (
    "Now drawing from '{source}'\n"
    " -InternalBattery-0 (id=22806627)\t83%; charging; 1:00 remaining present: true\n"
)
LOGIND = """# /etc/systemd/logind.conf
#  This file is part of systemd.
[Login]
#NAutoVTs=6
#KillUserProcesses=no
#HandleLidSwitch=suspend
#IdleAction=ignore
#IdleActionSec=30min
"""


@pytest.mark.parametrize(
    ("sleep", "says"),
    [
        ("1", "1 min"),
        ("1 (sleep prevented by powerd, runningboardd)", "1 min"),
        ("10 (sleep prevented by sharingd)", "10 min"),
        ("180", "180 min"),
    ],
)
def test_a_mac_that_sleeps_by_itself_is_told_with_both_cures(sleep: str, says: str) -> None:
    power = read_mac(MINI.format(sleep=sleep), PLUGGED_IN)

    assert says in power.what
    assert "sudo pmset -c sleep 0" in power.cure
    assert "caffeinate -i" in power.cure


@pytest.mark.parametrize(
    ("in_use", "battery", "says"),
    [
        (MINI.format(sleep="0"), PLUGGED_IN, "never sleeps by itself (pmset: sleep 0)"),
        (MINI.format(sleep="0 (sleep prevented by powerd)"), PLUGGED_IN, "never sleeps by itself"),
        (MINI.format(sleep="1 (sleep prevented by caffeinate, powerd)"), "", "caffeinate keeps"),
        (
            MINI.format(sleep="1").replace("settings:\n", "settings:\n SleepDisabled\t\t1\n", 1),
            PLUGGED_IN,
            "SleepDisabled",
        ),
        (MINI.format(sleep="0"), LAPTOP.format(source="AC Power"), "lid"),
        ("", "", "does not say"),
        (" Sleep On Power Button 1\n displaysleep 10\n disksleep 10\n", "", "does not say"),
    ],
)
def test_a_mac_that_stays_awake_passes(in_use: str, battery: str, says: str) -> None:
    power = read_mac(in_use, battery)

    assert not power.sleeps
    assert says in power.what


def test_a_switch_against_sleep_that_is_off_keeps_no_mac_awake() -> None:
    told_no = MINI.format(sleep="5").replace("settings:\n", "settings:\n SleepDisabled\t\t0\n", 1)

    assert read_mac(told_no, PLUGGED_IN).sleeps


def test_a_laptop_on_its_battery_is_told_whatever_its_settings() -> None:
    power = read_mac(MINI.format(sleep="0"), LAPTOP.format(source="Battery Power"))

    assert power.cure == "Plug it in."
    assert read_linux("masked\n", LOGIND, on_battery=True).cure == "Plug it in."


@pytest.mark.parametrize(
    ("targets", "logind", "desktop"),
    [
        ("", "", ""),  # a container, or no systemd
        ("static\n", LOGIND, ""),  # a server
        ("static\n", LOGIND, "'nothing'\n1200\n"),
        ("static\n", LOGIND, "'suspend'\n0\n"),
        ("masked\n", f"{LOGIND}IdleAction=suspend\n", "'suspend'\n1200\n"),
        ("static\n", f"{LOGIND}IdleAction=lock\n", ""),
        ("static\n", f"{LOGIND}IdleAction=suspend\n# later\nIdleAction=ignore\n", ""),
        ("static\n", LOGIND, "No such schema “org.gnome.settings-daemon.plugins.power”\n"),
    ],
)
def test_a_linux_host_that_nothing_lets_sleep_passes(
    targets: str, logind: str, desktop: str
) -> None:
    assert not read_linux(targets, logind, desktop).sleeps


@pytest.mark.parametrize(
    ("logind", "desktop", "says"),
    [
        (f"{LOGIND}IdleAction=suspend\n", "", "IdleAction"),
        (f"{LOGIND}IdleAction = hybrid-sleep \n", "", "hybrid-sleep"),
        (f"{LOGIND}IdleAction=ignore\n[Login]\nIdleAction=hibernate\n", "", "hibernate"),
        (LOGIND, "'suspend'\n1200\n", "20 min"),
        (LOGIND, "'hibernate'\n3600\n", "60 min"),
    ],
)
def test_a_linux_host_that_sleeps_is_told_with_what_keeps_it_awake(
    logind: str, desktop: str, says: str
) -> None:
    power = read_linux("static\n", logind, desktop)

    assert says in power.what
    assert "systemctl mask sleep.target" in power.cure


@pytest.mark.parametrize(
    ("logind", "says"),
    [
        (LOGIND, "while its lid is open"),
        (f"{LOGIND}HandleLidSwitch=ignore\n", "nothing lets this host sleep"),
        (f"{LOGIND}HandleLidSwitchExternalPower=ignore\n", "nothing lets this host sleep"),
    ],
)
def test_a_laptop_under_linux_is_told_of_its_lid(logind: str, says: str) -> None:
    power = read_linux("static\n", logind, has_lid=True)

    assert not power.sleeps
    assert power.what.endswith(says)
