"""What is repeated of a library's error."""

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from benchmark.encoders.reasons import is_of_the_network, short_reason


def test_the_keys_of_a_checkpoint_that_does_not_fit_are_named():
    with pytest.raises(RuntimeError) as failure:
        torch.nn.Linear(2, 2).load_state_dict({"weight": torch.zeros(2, 2)})
    text = short_reason(failure.value)
    assert 'Missing key(s) in state_dict: "bias"' in text and "\n" not in text
    with pytest.raises(RuntimeError) as failure:
        torch.nn.Linear(2, 2).load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.zeros(3)})
    assert "size mismatch for bias" in short_reason(failure.value)


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError("one. two"), "ValueError: one"),
        (ValueError(""), "ValueError"),
        (ValueError("\n one\ntwo"), "ValueError: one"),
        (ValueError("list:"), "ValueError: list"),
        (KeyError("x" * 300), f"KeyError: '{'x' * 199}..."),
    ],
)
def test_a_reason_is_one_short_sentence(error, said):
    assert short_reason(error) == said


def raised(error, during=None):
    try:
        try:
            if during is not None:
                raise during
        except type(during):
            raise error from None
        raise error
    except type(error) as found:
        return found


@pytest.mark.parametrize(
    "error, network",
    [
        (ConnectionRefusedError(), True),
        (LocalEntryNotFoundError("x"), True),
        (OfflineModeIsEnabled("x"), True),
        (raised(OSError("hidden"), OfflineModeIsEnabled("x")), True),
        (raised(RuntimeError("hidden"), TimeoutError()), True),
        (ValueError("wrong"), False),
        (FileNotFoundError("wrong"), False),
        (RuntimeError("wrong"), False),
    ],
)
def test_the_network_is_blamed_for_its_own_errors_only(error, network):
    assert is_of_the_network(error) is network


def test_the_time_outs_of_the_hubs_own_client_count():
    client = huggingface_hub.errors.HTTPError
    assert is_of_the_network(client("no route"))
