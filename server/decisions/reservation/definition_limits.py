"""The limits of one definition, and what a send of it counts against, out of a rule bundle. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from server.decisions.model import ANY, Limit, LimitKind
from server.decisions.reservation.limits import scope_token, topic_token

_US: Final = 1_000_000


def limits_of(
    definition: Mapping[str, Any],
    campaign: Mapping[str, Any],
    tenant: Mapping[str, Any],
    channels: tuple[str, ...],
) -> Mapping[str, tuple[Limit, ...]]:
    """For each channel that the message may start on: the cooldown, then the caps that apply there."""
    cooldown = _cooldown(definition)
    campaign_token = scope_token(definition["campaign_id"])
    return {
        channel: (
            *cooldown,
            *_caps(campaign["frequency_caps"], channel, definition.get("topic"), campaign_token),
            *_caps(tenant["frequency_caps"], channel, definition.get("topic"), ANY),
        )
        for channel in channels
    }


def _cooldown(definition: Mapping[str, Any]) -> tuple[Limit, ...]:
    seconds = definition["cooldown_seconds"]
    if not seconds:
        return ()
    return (Limit(LimitKind.COOLDOWN, window_us=seconds * _US, maximum=1, event=_event_token(definition)),)


def _caps(
    caps: Iterable[Mapping[str, Any]], channel: str, topic: str | None, campaign: str
) -> tuple[Limit, ...]:
    """The caps that a send over this channel and of this topic counts against; documents of before topics lack it."""
    return tuple(
        Limit(
            LimitKind.CAP,
            window_us=cap["window_seconds"] * _US,
            maximum=cap["maximum"],
            campaign=campaign,
            channel=scope_token(channel) if cap.get("channel") is not None else ANY,
            topic=topic_token(topic) if cap.get("topic") is not None else ANY,
            scope=_scope(cap, of_campaign=campaign != ANY),
        )
        for cap in caps
        if cap.get("channel") in (None, channel) and cap.get("topic") in (None, topic)
    )


def _scope(cap: Mapping[str, Any], *, of_campaign: bool) -> str:
    words = " of this campaign" if of_campaign else ""
    if cap.get("topic") is not None:
        words += f" of topic {cap['topic']}"
    return f"{words} over {cap['channel']}" if cap.get("channel") is not None else words


def scopes_of(definition: Mapping[str, Any], channel: str) -> str:
    """The tokens that a send over this channel counts against."""
    return (
        scope_token(definition["campaign_id"])
        + _event_token(definition)
        + scope_token(channel)
        + topic_token(definition.get("topic"))
    )


def _event_token(definition: Mapping[str, Any]) -> str:
    """By name, not by id: a changed definition is a new row, and its cooldown goes on."""
    return scope_token(definition["campaign_id"], definition["event_name"])
