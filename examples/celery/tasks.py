"""A Celery task that calls a model in a forked worker, tagged with what the message's headers say.

``celery -A tasks worker`` works, ``python tasks.py`` sends six messages. The queue is a folder, so no broker is needed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import openai
from celery import Celery, Task

import otel_tokenomics as tk

tk.instrument()


class Tagged(Task):
    """A task that runs under the tags of its message: context ends at a queue, headers do not."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task."""
        with tk.tags(**(self.request.headers or {}).get("tags", {})):
            return super().__call__(*args, **kwargs)


queue = Path(tempfile.gettempdir()) / "otel-tokenomics-queue"
queue.mkdir(exist_ok=True)
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), str(queue))
app = Celery("tasks", broker=os.environ.get("CELERY_BROKER_URL", "filesystem://"), task_cls=Tagged)
app.conf.update(broker_transport_options=folders, task_ignore_result=True)


@app.task
def summarise(text: str) -> str:
    """Summarise a text."""
    with openai.OpenAI() as client:
        return client.responses.create(model="gpt-5.4-mini", input=text).output_text


def main() -> None:
    """Send work of two customers."""
    for number in range(6):
        tags = {"team": "search", "customer": ("acme", "globex")[number % 2], "feature": "summarise"}
        summarise.apply_async((f"Article {number}",), headers={"tags": tags})


if __name__ == "__main__":
    main()
