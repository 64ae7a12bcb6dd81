"""The Celery app as its users share it: those that send wake-ups and those that serve them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from celery import Celery
from kombu import Queue

from server.workers.routes import CeleryQueue

_ANSWER_SECONDS: Final = 2.0
_REDIS_OPTIONS: Final = {
    "socket_connect_timeout": _ANSWER_SECONDS,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Of RabbitMQ: queues that are on several of its machines, and that do not grow while no worker runs.
_QUORUM: Final = {"x-queue-type": "quorum", "x-max-length": 10_000}


def celery_app(broker_url: str) -> Celery:
    """An app without tasks. Nothing is kept in the broker that PostgreSQL does not know.

    Messages are acknowledged when they arrive: a wake-up that is lost with its worker is found by the sweep.

    Args:
        broker_url: of Redis, or `amqp://` and `amqps://` of RabbitMQ, where the queues are quorum queues.
    """
    app = Celery("leo", broker=broker_url, set_as_current=False)
    is_rabbitmq = urlsplit(broker_url).scheme in ("amqp", "amqps")
    app.conf.update(
        task_queues=[Queue(name, queue_arguments=_QUORUM if is_rabbitmq else None) for name in CeleryQueue],
        task_default_queue=CeleryQueue.DEFAULT,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_expires=None,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=_ANSWER_SECONDS,
        broker_transport_options={} if is_rabbitmq else _REDIS_OPTIONS,
        timezone="UTC",
        enable_utc=True,
    )
    return app
