"""Answers for features that W&B has and this server lacks: an error, because clients take silence for an answer."""

from collections.abc import Iterable
from typing import Any, NoReturn

from graphql import GraphQLError, GraphQLObjectType, GraphQLSchema, OperationType

from mnist_sweep.server.gql.registry import Context, field

_SEE = 'see "Features" in docs/server.md'


def unknown(schema: GraphQLSchema, operation: OperationType, names: Iterable[str]) -> list[GraphQLError]:
    """Return an error for each of the operation's root fields that the schema does not have."""
    owner = schema.get_root_type(operation)
    assert isinstance(owner, GraphQLObjectType)
    return [
        GraphQLError(f"this local server does not know the {operation.value} {name}: {_SEE}")
        for name in names
        if name not in owner.fields
    ]


def _refuse(what: str, fields: Iterable[tuple[str, str]]) -> None:
    def resolve(_: Any, context: Context, **arguments: Any) -> NoReturn:
        raise GraphQLError(f"this local server has no {what}: {_SEE}")

    for owner, name in fields:
        field(owner, name)(resolve)


_refuse("automations", [("Entity", "projects"), ("User", "projects"), ("Project", "triggers")])
_refuse("integrations", [("Entity", "integrations")])
_refuse("Launch queues", [("Project", "runQueue")])
