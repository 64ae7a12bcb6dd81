"""CatalogService on the wire: messages to models and back."""

from __future__ import annotations

from typing import TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1 import catalog_service_pb2_grpc

from server.catalog import messages
from server.catalog.service import CatalogService
from server.errors import FieldViolation, InvalidInput
from server.rpc.caller import current_caller
from server.wire import to_page_request, to_page_response

Context: TypeAlias = ServicerContext[Message, Message]


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: CatalogService) -> None:
        self._service = service

    async def PutCampaign(
        self, request: wire.PutCampaignRequest, context: Context
    ) -> wire.PutCampaignResponse:
        """Create a campaign or replace its content."""
        _require(request, "campaign")
        campaign, changed = await self._service.campaigns.put(
            current_caller().tenant_id, messages.to_campaign(request.campaign)
        )
        return wire.PutCampaignResponse(campaign=messages.from_campaign(campaign), changed=changed)

    async def GetCampaign(
        self, request: wire.GetCampaignRequest, context: Context
    ) -> wire.GetCampaignResponse:
        """One campaign."""
        campaign = await self._service.campaigns.get(current_caller().tenant_id, request.campaign_id)
        return wire.GetCampaignResponse(campaign=messages.from_campaign(campaign))

    async def ListCampaigns(
        self, request: wire.ListCampaignsRequest, context: Context
    ) -> wire.ListCampaignsResponse:
        """Campaigns, page by page."""
        page = await self._service.campaigns.list(
            current_caller().tenant_id,
            to_page_request(request.page),
            status=messages.CAMPAIGN_STATUSES.get(request.status),
        )
        return wire.ListCampaignsResponse(
            campaigns=map(messages.from_campaign, page.items), page=to_page_response(page.next_token)
        )

    async def PutMarketingEvent(
        self, request: wire.PutMarketingEventRequest, context: Context
    ) -> wire.PutMarketingEventResponse:
        """Make a content the definition in use."""
        _require(request, "marketing_event")
        result = await self._service.marketing_events.put(
            current_caller().tenant_id, messages.to_marketing_event(request.marketing_event)
        )
        return wire.PutMarketingEventResponse(
            marketing_event=messages.from_marketing_event(result.event),
            changed=result.changed,
            superseded_marketing_event_id=result.superseded_id or "",
        )

    async def GetMarketingEvent(
        self, request: wire.GetMarketingEventRequest, context: Context
    ) -> wire.GetMarketingEventResponse:
        """One marketing event."""
        event = await self._service.marketing_events.get(
            current_caller().tenant_id, request.marketing_event_id
        )
        return wire.GetMarketingEventResponse(marketing_event=messages.from_marketing_event(event))

    async def ListMarketingEvents(
        self, request: wire.ListMarketingEventsRequest, context: Context
    ) -> wire.ListMarketingEventsResponse:
        """Marketing events, page by page."""
        page = await self._service.marketing_events.list(
            current_caller().tenant_id,
            to_page_request(request.page),
            campaign_id=request.campaign_id or None,
            status=messages.EVENT_STATUSES.get(request.status),
        )
        return wire.ListMarketingEventsResponse(
            marketing_events=map(messages.from_marketing_event, page.items),
            page=to_page_response(page.next_token),
        )

    async def CancelMarketingEvent(
        self, request: wire.CancelMarketingEventRequest, context: Context
    ) -> wire.CancelMarketingEventResponse:
        """Take a marketing event out of use."""
        event = await self._service.marketing_events.cancel(
            current_caller().tenant_id, request.marketing_event_id
        )
        return wire.CancelMarketingEventResponse(marketing_event=messages.from_marketing_event(event))

    async def PutMessageTemplate(
        self, request: wire.PutMessageTemplateRequest, context: Context
    ) -> wire.PutMessageTemplateResponse:
        """Store a content as a version, or find it."""
        _require(request, "message_template")
        template, changed = await self._service.message_templates.put(
            current_caller().tenant_id, messages.to_message_template(request.message_template)
        )
        return wire.PutMessageTemplateResponse(
            message_template=messages.from_message_template(template), changed=changed
        )

    async def GetMessageTemplate(
        self, request: wire.GetMessageTemplateRequest, context: Context
    ) -> wire.GetMessageTemplateResponse:
        """One version of a template."""
        template = await self._service.message_templates.get(current_caller().tenant_id, request.template_id)
        return wire.GetMessageTemplateResponse(message_template=messages.from_message_template(template))

    async def ListMessageTemplates(
        self, request: wire.ListMessageTemplatesRequest, context: Context
    ) -> wire.ListMessageTemplatesResponse:
        """Template versions, page by page."""
        page = await self._service.message_templates.list(
            current_caller().tenant_id,
            to_page_request(request.page),
            name=request.template_name or None,
            channel=request.channel or None,
            status=messages.TEMPLATE_STATUSES.get(request.status),
        )
        return wire.ListMessageTemplatesResponse(
            message_templates=map(messages.from_message_template, page.items),
            page=to_page_response(page.next_token),
        )

    async def PreviewMessageTemplate(
        self, request: wire.PreviewMessageTemplateRequest, context: Context
    ) -> wire.PreviewMessageTemplateResponse:
        """Render a template; nothing is stored or sent."""
        templates = self._service.message_templates
        if request.WhichOneof("source") is None:
            raise InvalidInput([FieldViolation("template_id", "is required, or a draft instead")])
        if request.HasField("draft"):
            rendered = templates.preview_draft(messages.to_draft(request.draft), request.variables)
        else:
            rendered = await templates.preview_stored(
                current_caller().tenant_id, request.template_id, request.variables
            )
        return wire.PreviewMessageTemplateResponse(
            subject=rendered.subject, body=rendered.body, metadata=rendered.metadata
        )

    async def PutExperiment(
        self, request: wire.PutExperimentRequest, context: Context
    ) -> wire.PutExperimentResponse:
        """Create a draft, or change an experiment."""
        _require(request, "experiment")
        experiment, changed = await self._service.experiments.put(
            current_caller().tenant_id, messages.to_experiment(request.experiment)
        )
        return wire.PutExperimentResponse(experiment=messages.from_experiment(experiment), changed=changed)

    async def GetExperiment(
        self, request: wire.GetExperimentRequest, context: Context
    ) -> wire.GetExperimentResponse:
        """One experiment."""
        experiment = await self._service.experiments.get(current_caller().tenant_id, request.experiment_id)
        return wire.GetExperimentResponse(experiment=messages.from_experiment(experiment))

    async def ListExperiments(
        self, request: wire.ListExperimentsRequest, context: Context
    ) -> wire.ListExperimentsResponse:
        """Experiments, page by page."""
        page = await self._service.experiments.list(
            current_caller().tenant_id,
            to_page_request(request.page),
            campaign_id=request.campaign_id or None,
            status=messages.EXPERIMENT_STATUSES.get(request.status),
        )
        return wire.ListExperimentsResponse(
            experiments=map(messages.from_experiment, page.items), page=to_page_response(page.next_token)
        )

    async def SetExperimentStatus(
        self, request: wire.SetExperimentStatusRequest, context: Context
    ) -> wire.SetExperimentStatusResponse:
        """Begin, pause or complete an experiment."""
        experiment = await self._service.experiments.set_status(
            current_caller().tenant_id,
            request.experiment_id,
            messages.EXPERIMENT_STATUSES.get(request.status, ""),
        )
        return wire.SetExperimentStatusResponse(experiment=messages.from_experiment(experiment))

    async def PutInstruments(
        self, request: wire.PutInstrumentsRequest, context: Context
    ) -> wire.PutInstrumentsResponse:
        """Create or replace instruments, all or none."""
        changed = await self._service.instruments.put(
            current_caller().tenant_id, [messages.to_instrument(message) for message in request.instruments]
        )
        return wire.PutInstrumentsResponse(changed_count=changed)

    async def ListInstruments(
        self, request: wire.ListInstrumentsRequest, context: Context
    ) -> wire.ListInstrumentsResponse:
        """Instruments, page by page."""
        page = await self._service.instruments.list(
            current_caller().tenant_id,
            to_page_request(request.page),
            type_=messages.INSTRUMENT_TYPES.get(request.type),
        )
        return wire.ListInstrumentsResponse(
            instruments=map(messages.from_instrument, page.items), page=to_page_response(page.next_token)
        )


def _require(request: Message, field: str) -> None:
    """Raises:
    InvalidInput: the message of this field is absent.
    """
    if not request.HasField(field):
        raise InvalidInput([FieldViolation(field, "is required")])
