"""Amazon Bedrock through boto3: Converse, its stream, and InvokeModel, whose body stays the caller's to read."""

from __future__ import annotations

import json
from typing import Any

import boto3

import otel_tokenomics as tk

tk.instrument()
client = boto3.client("bedrock-runtime")
messages: Any = [{"role": "user", "content": [{"text": "Hello"}]}]

with tk.tags(team="search", customer="acme"):
    with tk.tags(feature="converse"):
        reply = client.converse(modelId="us.amazon.nova-lite-v1:0", messages=messages)
        print(reply["output"]["message"]["content"][0]["text"])
    with tk.tags(feature="stream"):
        for event in client.converse_stream(modelId="us.amazon.nova-lite-v1:0", messages=messages)["stream"]:
            print(event.get("contentBlockDelta", {}).get("delta", {}).get("text", ""), end="")
        print()
    with tk.tags(feature="invoke"):
        body = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": "Hello"}],
        }
        reply = client.invoke_model(modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0", body=json.dumps(body))
        print(json.loads(reply["body"].read())["content"][0]["text"])
