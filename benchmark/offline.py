"""Find out once per process whether the Hugging Face hub can be reached, and stay offline if not."""

import os
import threading
from functools import cache

PROBE_SECONDS = 5.0


@cache
def hub_reachable() -> bool:
    """Return whether the hub answers within `PROBE_SECONDS`; if it does not, go offline for the whole process.

    Without this, the hub client retries every file of every encoder, half a minute each, before it looks into its
    cache. Nothing is sent when HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return False
    answered = threading.Event()
    # A thread, because looking up a host name obeys no time-out of the HTTP client.
    probe = threading.Thread(target=_probe, args=(constants.ENDPOINT, answered), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)  # not the answer's wait: a refusal ends the probe at once
    if answered.is_set():
        return True
    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"  # for workers that this process starts
    return False


def _probe(endpoint: str, answered: threading.Event) -> None:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=PROBE_SECONDS)
    except Exception:  # whatever goes wrong here (name, proxy, certificate), the hub cannot be used
        return
    answered.set()
