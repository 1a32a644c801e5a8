"""Lambda's entry point for uploads (``Handler: batch.handler``): a queue's messages, and a state machine's steps."""

from coldpress_runtime.batch.runner import Runners
from coldpress_runtime.batch.sqs import make_handler
from coldpress_runtime.batch.step_functions import make_task

_runners = Runners()
handler = make_handler(_runners, make_task(_runners))
