"""What is found among rows in their order, column by column: the runs they form, and what stands before a row.

`number` is the column that `numbers` gives for as many rows.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def numbers(count: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The numbers of rows, from 0 on."""
    return pc.subtract(pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count)), 1)


def differs(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Whether each row's value is another than that of the row before; true for the first. No value may be null."""
    if not len(column):
        return pa.array([], pa.bool_())
    changed = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
    return pa.concat_arrays([pa.array([True]), changed])


def starts(begins: Any, number: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Of each row the number of the row that its run begins with, given which rows begin one."""
    return pc.cumulative_max(pc.if_else(begins, number, 0))


def last_before(is_one: Any, run: Any, number: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Of each row the number of the last row before it that is one, in the same run; null without any."""
    if not len(number):
        return number
    so_far = pc.cumulative_max(pc.if_else(is_one, number, -1))
    before = pa.concat_arrays([pa.array([-1], pa.int64()), so_far.slice(0, len(number) - 1)])
    return pc.if_else(pc.greater_equal(before, run), before, pa.scalar(None, pa.int64()))
