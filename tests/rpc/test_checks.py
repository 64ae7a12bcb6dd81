"""General checks of requests: what is refused, with which path, and what is left alone."""

from __future__ import annotations

import math

import pytest
from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo.activation.v1 import profile_service_pb2 as profile

from server.errors import InvalidInput
from server.rpc.checks import LONGEST_TEXT_BYTES, violations_in
from server.rpc.deserialization import parser_of


def fields(message: Message) -> list[str]:
    """The paths of the violations, found the way a request's are."""
    try:
        parser_of(message.DESCRIPTOR)(message.SerializeToString())
    except InvalidInput as error:
        return [violation.field for violation in error.violations]
    return []


def test_paths_lead_through_messages_lists_and_maps() -> None:
    request = catalog.PutMarketingEventRequest(
        marketing_event=catalog.MarketingEvent(
            event_name="a\0b", channels=["email", "zalo\0"], event_type=99, condition=b"["
        )
    )
    assert fields(request) == [
        "marketing_event.event_name",
        "marketing_event.event_type",
        "marketing_event.channels[1]",
        "marketing_event.condition",
    ]
    request = catalog.PutInstrumentsRequest(instruments=[catalog.Instrument(), catalog.Instrument(type=77)])
    assert fields(request) == ["instruments[1].type"]


def test_items_that_are_answered_each_are_left_to_their_method() -> None:
    patch = profile.ProfilePatch(
        latitude=math.nan,
        raw_attributes=b'{"a": "\\u0000"}',
        channel_addresses={
            "zalo": profile.ChannelAddresses(addresses=["x\0"]),
            "k\0": profile.ChannelAddresses(),
        },
    )
    assert fields(profile.UpsertProfilesRequest(profiles=[patch])) == []
    assert {violation.field for violation in violations_in(patch)} == {
        "latitude",
        "raw_attributes",
        "channel_addresses",
        "channel_addresses['zalo'].addresses[0]",
    }


@pytest.mark.parametrize(
    "document", [b"", b"{}", b'{"a": "\\\\u0000"}', '{"tên": "Ánh"}'.encode(), b'{"a": {"b": [1e3, null]}}']
)
def test_json_objects_pass(document: bytes) -> None:
    assert list(violations_in(catalog.Instrument(metadata=document))) == []


@pytest.mark.parametrize(
    "document",
    [
        *(b"{", b"[]", b"null", b'"x"', b"1", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b"{'a': 1}"),
        *(b'{"a": "\\ud800"}', b'{"a\\u0000": 1}', b'{"a": ["\\u0000"]}', b"[" * 100_000),
        b'{"a": "' + b"x" * LONGEST_TEXT_BYTES + b'"}',
    ],
    ids=lambda document: repr(document[:20]),
)
def test_what_is_no_json_object_is_refused(document: bytes) -> None:
    assert [v.field for v in violations_in(catalog.Instrument(metadata=document))] == ["metadata"]


@pytest.mark.parametrize(
    ("message", "good"),
    [
        (timestamp_pb2.Timestamp(seconds=-62_135_596_800), True),
        (timestamp_pb2.Timestamp(seconds=253_402_300_799, nanos=999_999_999), True),
        (timestamp_pb2.Timestamp(seconds=253_402_300_800), False),
        (timestamp_pb2.Timestamp(seconds=-62_135_596_801), False),
        (timestamp_pb2.Timestamp(nanos=-1), False),
        (timestamp_pb2.Timestamp(nanos=1_000_000_000), False),
        (duration_pb2.Duration(seconds=-1, nanos=-1), True),
        (duration_pb2.Duration(seconds=1, nanos=-1), False),
        (duration_pb2.Duration(seconds=2**60), False),
    ],
    ids=str,
)
def test_times_have_a_range(message: Message, good: bool) -> None:
    assert (len(violations_in(message)) == 0) is good


def test_messages_that_hold_themselves_are_checked_to_the_bottom() -> None:
    value = struct_pb2.Value(number_value=math.inf)
    for _ in range(10):
        value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[value]))
    assert len(fields(value)) == 1
    assert fields(struct_pb2.Value(string_value="fine")) == []


def test_the_longest_text_is_measured_in_bytes() -> None:
    assert fields(catalog.GetCampaignRequest(campaign_id="é" * (LONGEST_TEXT_BYTES // 2))) == []
    assert fields(catalog.GetCampaignRequest(campaign_id="é" * (LONGEST_TEXT_BYTES // 2 + 1))) == [
        "campaign_id"
    ]
