"""The segment or group of each customer, as compact as can be: some fifty bytes a customer instead of two hundred."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class Members(Mapping[str, str]):
    """The segment of each customer, by id, or the group.

    Args:
        customers: their ids, ascending.
        segments: the place in `names` of each one's segment or group.
        names: of segments or groups.
    """

    def __init__(self, customers: pa.LargeStringArray, segments: npt.NDArray[np.uint8], names: Sequence[str]) -> None:
        self._customers = customers
        self._segments = segments
        self._names = names

    def __getitem__(self, customer: str) -> str:
        """The segment of a customer, found by halving."""
        low, high = 0, len(self._customers)
        while low < high:
            middle = (low + high) // 2
            if self._customers[middle].as_py() < customer:
                low = middle + 1
            else:
                high = middle
        if low == len(self._customers) or self._customers[low].as_py() != customer:
            raise KeyError(customer)
        return self._names[int(self._segments[low])]

    def __iter__(self) -> Iterator[str]:
        """The ids, ascending."""
        return (each.as_py() for each in self._customers)

    def __len__(self) -> int:
        """How many customers there are."""
        return len(self._customers)


class Defaulted(Mapping[str, str]):
    """For each name of a mapping what another one says, or a default."""

    def __init__(self, names: Mapping[str, str], said: Mapping[str, str], default: str) -> None:
        self._names = names
        self._said = said
        self._default = default

    def __getitem__(self, name: str) -> str:
        """What is said of a name."""
        if name not in self._names:
            raise KeyError(name)
        return self._said.get(name, self._default)

    def __iter__(self) -> Iterator[str]:
        """The names, in their order."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._names)
