"""Lambda's entry point for uploads (``Handler: batch.handler``): takes the messages of a queue."""

from coldpress_runtime.batch.runner import Runner
from coldpress_runtime.batch.sqs import make_handler

handler = make_handler(Runner.open())
