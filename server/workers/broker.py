"""The Celery app as its users share it: those that send wake-ups and those that serve them."""

from __future__ import annotations

from typing import Final

from celery import Celery
from kombu import Queue

from server.workers.routes import CeleryQueue

_ANSWER_SECONDS: Final = 2.0


def celery_app(broker_url: str) -> Celery:
    """An app without tasks. Nothing is kept in the broker that PostgreSQL does not know.

    Messages are acknowledged when they arrive: a wake-up that is lost with its worker is found by the sweep.
    """
    app = Celery("leo", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[Queue(name) for name in CeleryQueue],
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
        broker_transport_options={
            "socket_connect_timeout": _ANSWER_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        timezone="UTC",
        enable_utc=True,
    )
    return app
