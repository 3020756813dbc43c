"""What several modules of resolvers share."""

from collections.abc import Iterable
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.store.rows import Collection, Run


def type_name(value: Any) -> str:
    """Return the GraphQL type of a row in a field whose type is an interface or a union."""
    if isinstance(value, Collection):
        return "ArtifactPortfolio" if value.portfolio else "ArtifactSequence"
    return "Run" if isinstance(value, Run) else "User"


def tags(names: Iterable[str]) -> list[dict[str, str]]:
    """Return tags with ids that the client ignores."""
    return [{"id": ids.encode("Tag", i), "name": name} for i, name in enumerate(names)]
