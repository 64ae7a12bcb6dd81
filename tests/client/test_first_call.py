"""The first call of the README: a client, a token, a campaign."""

from __future__ import annotations

import leo_client
import pytest
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo_client import to_json

from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant


async def test_a_campaign_is_put_and_found(client_for: ClientFor, tenant_a: Tenant, tenant_b: Tenant) -> None:
    scopes = ["catalog.read", "catalog.write"]
    leo = client_for(tenant_a, scopes)
    condition = to_json({"attribute": "profile.purchase_count", "operator": ">=", "value": 3})
    campaign = catalog.Campaign(
        campaign_id="welcome",
        campaign_code="W-1",
        campaign_name="Welcome",
        status=catalog.CAMPAIGN_STATUS_ACTIVE,
        audience=catalog.Audience(name="regulars", condition=condition),
    )
    put = await leo.catalog.PutCampaign(catalog.PutCampaignRequest(campaign=campaign))
    assert put.changed
    found = await leo.catalog.GetCampaign(catalog.GetCampaignRequest(campaign_id="welcome"))
    assert found.campaign == put.campaign
    with pytest.raises(leo_client.NotFound) as caught:
        await client_for(tenant_b, scopes).catalog.GetCampaign(
            catalog.GetCampaignRequest(campaign_id="welcome")
        )
    assert caught.value.reason == "RESOURCE_NOT_FOUND"
