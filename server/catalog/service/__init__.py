"""Use cases of the catalogue. Each owns its transaction."""

from __future__ import annotations

from server.catalog.model import TemplateRules
from server.catalog.service.campaigns import Campaigns
from server.catalog.service.conditions import ConditionCompiler, ParsedCondition
from server.catalog.service.experiments import Experiments
from server.catalog.service.instruments import Instruments
from server.catalog.service.marketing_events import MarketingEvents
from server.catalog.service.message_templates import MessageTemplates
from server.catalog.store import (
    CampaignStore,
    ExperimentStore,
    InstrumentStore,
    MarketingEventStore,
    MessageTemplateStore,
)
from server.platform.postgres import Database

__all__ = ["CatalogService", "ConditionCompiler", "ParsedCondition"]


class CatalogService:
    """The catalogue's five kinds of definitions.

    Args:
        database: connections of the role leo_app.
        conditions: reads conditions; the module `server.conditions` is one.
        templates: what channels ask of templates.
    """

    def __init__(
        self, *, database: Database, conditions: ConditionCompiler, templates: TemplateRules
    ) -> None:
        self.campaigns = Campaigns(database=database, store=CampaignStore(), conditions=conditions)
        self.marketing_events = MarketingEvents(
            database=database, store=MarketingEventStore(), conditions=conditions
        )
        self.message_templates = MessageTemplates(
            database=database, store=MessageTemplateStore(), rules=templates
        )
        self.experiments = Experiments(
            database=database, store=ExperimentStore(), events=MarketingEventStore()
        )
        self.instruments = Instruments(database=database, store=InstrumentStore())
