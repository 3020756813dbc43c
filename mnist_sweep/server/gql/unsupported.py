"""What W&B has and this server has not, where a client would take silence for an answer."""

from collections.abc import Iterable
from typing import Any, NoReturn

from graphql import FieldNode, GraphQLError, GraphQLObjectType, GraphQLSchema, OperationDefinitionNode

from mnist_sweep.server.gql.registry import Context, field

_SEE = 'see "Features" in docs/server.md'


def unknown(schema: GraphQLSchema, operation: OperationDefinitionNode) -> list[GraphQLError]:
    """An error for each thing that the request is about and that the schema does not have."""
    owner = schema.get_root_type(operation.operation)
    assert isinstance(owner, GraphQLObjectType)
    asked = (node.name.value for node in operation.selection_set.selections if isinstance(node, FieldNode))
    kind = operation.operation.value
    return [
        GraphQLError(f"this local server does not know the {kind} {name}: {_SEE}")
        for name in asked
        if name not in owner.fields and not name.startswith("__")
    ]


def _refuse(what: str, fields: Iterable[tuple[str, str]]) -> None:
    def resolve(_: Any, context: Context, **arguments: Any) -> NoReturn:
        raise GraphQLError(f"this local server has no {what}: {_SEE}")

    for owner, name in fields:
        field(owner, name)(resolve)


_refuse("automations", [("Entity", "projects"), ("User", "projects"), ("Project", "triggers")])
_refuse("integrations", [("Entity", "integrations")])
_refuse("Launch queues", [("Project", "runQueue")])
