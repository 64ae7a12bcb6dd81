"""The channels that messages travel over: lower case, one spelling each, listed here and nowhere else."""

from __future__ import annotations

from typing import Final

CHANNELS: Final = (
    "email",
    "zalo",
    "zalo_oa",
    "facebook",
    "telegram",
    "whatsapp",
    "push",
    "web_push",
    "pushalert",
    "sms",
)
