"""The statements of `db/queries/catalog.sql` and `experiments.sql`: one method each, one round trip each."""

from server.catalog.store.campaigns import CampaignStore
from server.catalog.store.experiments import ExperimentStore
from server.catalog.store.instruments import InstrumentStore
from server.catalog.store.marketing_events import MarketingEventStore
from server.catalog.store.message_templates import MessageTemplateStore

__all__ = [
    "CampaignStore",
    "ExperimentStore",
    "InstrumentStore",
    "MarketingEventStore",
    "MessageTemplateStore",
]
