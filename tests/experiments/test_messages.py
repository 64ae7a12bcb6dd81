"""What customers are sent: each the variant that its decision names, over real SMTP."""

from __future__ import annotations

from leo.activation.v1 import catalog_service_pb2 as wire

from server.embedded.mailbox import Mailbox
from tests.catalog.conftest import Catalog
from tests.dispatch.conftest import Fleet, email_channel
from tests.experiments.conftest import Till, begin


async def test_each_variant_sends_its_own_subject_and_the_log_holds_it(
    shop: Catalog, till: Till, customers: list[str], fleet: Fleet, smtp_url: str, mailbox: Mailbox
) -> None:
    await begin(shop)
    decided = await till.purchases(customers)
    assert {answer.arm.variant for answer in decided} == {"short", "long"}
    # Whatever is decided is sent, also when the experiment ends before the worker comes.
    status = wire.EXPERIMENT_STATUS_COMPLETED
    await shop.call("SetExperimentStatus", experiment_id="subject", status=status)

    await fleet.runner({"email": email_channel(smtp_url)}).drain()

    subjects = {str(message["To"]): str(message["Subject"]) for message in mailbox.messages()}
    expected = {
        f"{profile}@example.com": "Thanks!"
        if answer.arm.template_name == "brief"
        else f"Thanks, {profile.title()}"
        for profile, answer in zip(customers, decided, strict=True)
    }
    assert subjects == expected
    assert len(mailbox.messages()) == len(customers)
