"""Lambda's entry points for uploads: ``batch.handler`` takes the queue's messages, ``batch.task`` a state machine's."""

from coldpress_runtime.batch.sqs import make_handler
from coldpress_runtime.batch.step_functions import make_task

from coldpress_runtime.service import Service

_service = Service.open()
handler = make_handler(_service)
task = make_task(_service)
