"""From bytes to a checked message.

gRPC itself would answer bytes that are no message with UNKNOWN and internal text, before any code of ours
runs. So handlers are registered without deserialisers, and the call parses here, once the caller is verified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from server.errors import InvalidInput, MalformedRequest
from server.rpc.checks import LONGEST_TEXT_BYTES, check_of

Parse: TypeAlias = Callable[[bytes], Message]


def parser_of(descriptor: Descriptor) -> Parse:
    """The function that parses and checks requests of one type; compiled once, at registration.

    The function raises:
        MalformedRequest: the bytes are not such a message, or hold text that is not UTF-8.
        InvalidInput: a general check failed (see `checks`).
    """
    parse = GetMessageClass(descriptor).FromString
    check, check_with_text = check_of(descriptor, text=False), check_of(descriptor, text=True)

    def parse_and_check(raw: bytes) -> Message:
        try:
            message: Message = parse(raw)
        except DecodeError:
            raise MalformedRequest(f"the bytes are no {descriptor.name} in UTF-8") from None
        # No text holds NUL or is too long when the whole message does not: most requests skip those checks.
        suspicious = len(raw) > LONGEST_TEXT_BYTES or b"\0" in raw
        violations = (check_with_text if suspicious else check)(message)
        if violations:
            raise InvalidInput(violations)
        return message

    return parse_and_check
