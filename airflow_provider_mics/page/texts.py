"""Moments and durations as short texts."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

NOTHING = "-"
"""In place of a moment or a duration that is not known or does not exist."""


def moment_text(moment: datetime | None, zone: tzinfo) -> str:
    """Return a moment to the minute in a time zone, or a dash for None."""
    if moment is None:
        return NOTHING
    local = _in_zone(moment, zone)
    return _in_utc(moment) if local is None else f"{local:%Y-%m-%d %H:%M}"


def short_moment_text(moment: datetime | None, zone: tzinfo, now: datetime) -> str:
    """Return a moment without what it shares with now: the day where it is today, the year where it is this year."""
    if moment is None:
        return NOTHING
    local, today = _in_zone(moment, zone), now.astimezone(zone)
    if local is None:
        return _in_utc(moment)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%d %b %H:%M}" if abs(local - today) < timedelta(days=180) else f"{local:%d %b %Y %H:%M}"


def _in_zone(moment: datetime, zone: tzinfo) -> datetime | None:
    """Return a moment in a time zone; None if it has no date there, being before year 1 or after year 9999."""
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        return None


def _in_utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def duration_text(duration: timedelta | None) -> str:
    """Return a duration with its two largest units, such as ``4 min 12 s``, or a dash for None."""
    if duration is None:
        return NOTHING
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for name, size in units:
        number, whole = divmod(whole, size)
        if number or parts:
            parts.append((number, name))
    return " ".join(f"{number} {name}" for number, name in parts[:2] if number)


def age_text(age: timedelta) -> str:
    """Return how long ago something was."""
    return "just now" if age < timedelta(seconds=1) else f"{duration_text(age)} ago"
