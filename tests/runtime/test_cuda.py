"""CUDA where there is none: what can be said of it on any machine."""

from __future__ import annotations

import pytest

cuda = pytest.importorskip("emotion2vec_server.backends.cuda", reason="cuda-bindings is missing")


@pytest.mark.skipif(bool(cuda.devices()), reason="there is a card")
def test_a_call_without_a_card_says_what_failed() -> None:
    with pytest.raises(cuda.CudaError, match="cudaError"):
        cuda.new_stream()
    with pytest.raises(cuda.CudaError, match="cudaError"):
        cuda.Buffer().reserve(1)


def test_no_memory_is_an_error_of_its_own() -> None:
    from cuda.bindings import runtime
    from emotion2vec_runtime.errors import OutOfMemoryError

    with pytest.raises(OutOfMemoryError):
        cuda._value((runtime.cudaError_t.cudaErrorMemoryAllocation,))
    assert cuda._value((runtime.cudaError_t.cudaSuccess, 7)) == 7
