"""The empty handler: what interpreter, runtime client and the event itself cost."""


def handler(event, context):
    """Answer nothing."""
    return {"statusCode": 200, "body": ""}
