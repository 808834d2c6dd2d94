"""The Celery app: it carries job ids from the dispatcher to the workers, and knows nothing else.

No result backend, no ETA, no retries, no late acks: the database is the queue, and a lost or
doubled message does no harm.
"""

from celery import Celery

from jobs.settings import Settings

#: The one task: a list of job ids.
EXECUTE = "darkroom.execute"
QUEUE = "darkroom"

#: Without it a frozen Redis blocks the worker's event loop for ever. It must be longer than
#: kombu's BRPOP of 1 s.
SOCKET_SECONDS = 5
#: The dispatcher waits no longer: what cannot be sent is due again, and duties wait behind it.
SEND_SECONDS = 1


def make_app(settings: Settings) -> Celery:
    """The app for producers and consumers of one Redis."""
    assert settings.redis_url is not None
    app = Celery("darkroom", set_as_current=False)
    app.conf.update(
        broker_url=broker_address(settings.redis_url),
        result_backend=None,
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": SOCKET_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": "darkroom:celery:",
        },
        # A message may fail: the job's lease runs out, and it is sent again.
        task_publish_retry=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    return app


def make_sender(settings: Settings) -> Celery:
    """The app for the dispatcher, which soon gives up: it tries again by itself."""
    app = make_app(settings)
    app.conf.broker_transport_options |= {
        "socket_timeout": SEND_SECONDS,
        "socket_connect_timeout": SEND_SECONDS,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    }
    return app


def broker_address(redis_url: str) -> str:
    """The address as kombu writes it: it has a scheme of its own for sockets."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    number = query.removeprefix("db=") or "0"
    return f"redis+socket://{path}?virtual_host={number}"
