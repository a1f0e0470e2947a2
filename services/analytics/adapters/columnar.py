"""What is found among rows in their order, column by column: the runs of a user, and what stands before a row."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def numbers(count: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The numbers of rows, from 0 on."""
    return pc.subtract(pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count)), 1)


def starts(begins: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Of each row the number of the row that its run begins with, given which rows begin one."""
    return pc.cumulative_max(pc.if_else(begins, numbers(len(begins)), 0))


def differs(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Whether each row's value is another than that of the row before; true for the first."""
    if not len(column):
        return pa.array([], pa.bool_())
    changed = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
    return pa.concat_arrays([pa.array([True]), changed])


def last_before(is_one: Any, starts: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Of each row the number of the last row before it that is one, in the same run; null without any."""
    count = len(is_one)
    if not count:
        return pa.array([], pa.int64())
    so_far = pc.cumulative_max(pc.if_else(is_one, numbers(count), -1))
    before = pa.concat_arrays([pa.array([-1], pa.int64()), so_far.slice(0, count - 1)])
    return pc.if_else(pc.greater_equal(before, starts), before, pa.scalar(None, pa.int64()))


def first_of_run(is_one: Any, starts: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Whether each row is the first of its run that is one."""
    return pc.and_(is_one, pc.is_null(last_before(is_one, starts)))
