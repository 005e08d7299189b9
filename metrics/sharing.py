"""Intermediate results that metrics of the same inputs share, such as sorted values.

A metric is a function of its inputs alone, and computes all that it needs. Several metrics of the same tensors need the
same sorted values. Within :func:`sharing`, they are computed once.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar("Result")

_results: ContextVar[dict[tuple[Any, ...], Any] | None] = ContextVar("_results", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Shares intermediate results of the calls within the block. Their tensors must not change until it ends.

    A block within another shares the results of that one.
    """
    if _results.get() is not None:
        yield
        return
    token = _results.set({})
    try:
        yield
    finally:
        _results.reset(token)


def shared(compute: Callable[..., Result]) -> Callable[..., Result]:
    """Makes a function of tensors return the same result for the same tensors within :func:`sharing`.

    Example:
        >>> @shared
        ... def double(values):
        ...     return [2 * value for value in values]
        >>> values = [1, 2]
        >>> double(values) is double(values)
        False
        >>> with sharing():
        ...     double(values) is double(values)
        True
    """

    @functools.wraps(compute)
    def call(*tensors: Any) -> Result:
        results = _results.get()
        if results is None:
            return compute(*tensors)
        key = (compute, *map(id, tensors))
        if key not in results:
            # With the tensors, since the identifier of a freed one is given to another.
            results[key] = tensors, compute(*tensors)
        result: Result = results[key][1]
        return result

    return call
