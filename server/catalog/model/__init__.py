"""The definitions of the catalogue and their rules. Pure."""

from server.catalog.model.campaign import Audience, Campaign
from server.catalog.model.experiment import Experiment, Variant, VariantCount
from server.catalog.model.instrument import Instrument
from server.catalog.model.marketing_event import MarketingEvent
from server.catalog.model.message_template import MessageTemplate, Rendered, TemplateRules

__all__ = [
    "Audience",
    "Campaign",
    "Experiment",
    "Instrument",
    "MarketingEvent",
    "MessageTemplate",
    "Rendered",
    "TemplateRules",
    "Variant",
    "VariantCount",
]
