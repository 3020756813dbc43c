"""Parse, bound and run one GraphQL request."""

import functools
from collections.abc import Iterator
from importlib import resources
from typing import Any, Literal

import graphql
from graphql import execute as run_document

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import (  # noqa: F401 (each registers its resolvers)
    account,
    artifacts,
    collections,
    files,
    nodes,
    projects,
    reports,
    runs,
    sweeps,
    unsupported,
)
from mnist_sweep.server.gql.registry import RESOLVERS, Context, default

_LENGTH_LIMIT = 1_000_000
_TOKEN_LIMIT = 20_000
_SELECTION_LIMIT = 20_000
_DEPTH_LIMIT = 30
_OWN_TRANSACTION = ("agentHeartbeat",)
_TEXTS = ("JSONString", "DateTime", "ArtifactDigestAlgorithm")


@functools.cache
def schema() -> graphql.GraphQLSchema:
    """Build the schema in `schema.graphql` with every registered resolver in place."""
    text = resources.files(__package__).joinpath("schema.graphql").read_text("utf-8")
    built = graphql.build_schema(text)
    for (type_name, name), resolver in RESOLVERS.items():
        owner = built.type_map[type_name]
        assert isinstance(owner, graphql.GraphQLObjectType | graphql.GraphQLInterfaceType)
        owner.fields[name].resolve = resolver
    for type_ in built.type_map.values():
        if isinstance(type_, graphql.GraphQLScalarType) and type_.name in _TEXTS:
            for method in ("parse_value", "coerce_input_value"):  # graphql-core 3.2's name for it, and 3.3's
                setattr(type_, method, functools.partial(_text, type_.name))
        if isinstance(type_, graphql.GraphQLInterfaceType | graphql.GraphQLUnionType):
            type_.resolve_type = lambda value, *_: nodes.type_name(value)
    return built


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise graphql.GraphQLError(f"{name} cannot represent a non-string value: {str(value)[:100]!r}")
    return value


def execute(query: str, variables: dict[str, Any], operation: str | None, context: Context) -> graphql.ExecutionResult:
    """Run a request inside the kind of transaction that `transaction` returns for it.

    The request is not validated: the answer leaves out fields that this server does not know, as an older W&B server
    does. The fields at the root must be known, and the types of arguments and variables are checked.
    """
    tree = document(query)
    kind = _operation(query, operation).operation
    if unknown := unsupported.unknown(schema(), kind, _root_fields(query, operation)):
        return graphql.ExecutionResult(data=None, errors=unknown)
    result = run_document(
        schema(),
        tree,
        context_value=context,
        variable_values=_known_variables(tree, variables),
        operation_name=operation,
        field_resolver=default,
    )
    assert isinstance(result, graphql.ExecutionResult)
    return result


def _known_variables(tree: graphql.DocumentNode, variables: dict[str, Any]) -> dict[str, Any]:
    """Drop the input fields that the schema does not have: a newer client may send more."""
    known = dict(variables)
    for node in tree.definitions:
        for definition in node.variable_definitions or () if isinstance(node, graphql.OperationDefinitionNode) else ():
            name = definition.variable.name.value
            if name in known:
                known[name] = _known_fields(graphql.type_from_ast(schema(), definition.type), known[name])
    return known


def _known_fields(type_: Any, value: Any) -> Any:
    type_ = graphql.get_nullable_type(type_)
    if isinstance(type_, graphql.GraphQLList) and isinstance(value, list):
        return [_known_fields(type_.of_type, item) for item in value]
    if isinstance(type_, graphql.GraphQLInputObjectType) and isinstance(value, dict):
        fields = type_.fields
        return {key: _known_fields(fields[key].type, item) for key, item in value.items() if key in fields}
    return value


def transaction(query: str, operation: str | None) -> Literal["read", "write", "own"]:
    """Return the transaction that the request needs: `own` if its one field opens its own transactions.

    Raise BadRequest if the text is not GraphQL, is too large, or does not hold that operation.
    """
    wanted = _operation(query, operation)
    if wanted.operation is not graphql.OperationType.MUTATION:
        return "read"
    names = _root_fields(query, operation)
    if not any(name in _OWN_TRANSACTION for name in names):
        return "write"
    if len(names) > 1:
        raise BadRequest(f"{' or '.join(_OWN_TRANSACTION)} must be the only field of its request")
    return "own"


def _root_fields(query: str, operation: str | None) -> list[str]:
    """Return the names of the fields that an operation selects at its root, inside fragments too."""
    fragments = {
        node.name.value: node.selection_set
        for node in document(query).definitions
        if isinstance(node, graphql.FragmentDefinitionNode)
    }

    def names(selections: graphql.SelectionSetNode | None) -> Iterator[str]:
        for node in selections.selections if selections else ():
            if isinstance(node, graphql.FieldNode):
                if not node.name.value.startswith("__"):
                    yield node.name.value
            elif isinstance(node, graphql.FragmentSpreadNode):
                yield from names(fragments.get(node.name.value))
            elif isinstance(node, graphql.InlineFragmentNode):
                yield from names(node.selection_set)

    return list(names(_operation(query, operation).selection_set))


def _operation(query: str, name: str | None) -> graphql.OperationDefinitionNode:
    found = [node for node in document(query).definitions if isinstance(node, graphql.OperationDefinitionNode)]
    if name:
        found = [node for node in found if node.name and node.name.value == name]
    if len(found) != 1:
        raise BadRequest("the request must hold one operation, or name one of those it holds")
    if found[0].operation is graphql.OperationType.SUBSCRIPTION:
        raise BadRequest("this server has no subscriptions")
    return found[0]


@functools.lru_cache(maxsize=512)
def document(query: str) -> graphql.DocumentNode:
    """Parse a request; its syntax tree has a bounded size once its fragments are expanded.

    Raise BadRequest if the text is not GraphQL, or is too large.
    """
    if len(query) > _LENGTH_LIMIT:
        raise BadRequest(f"the query is longer than {_LENGTH_LIMIT} characters: send values as variables")
    try:
        tree = graphql.parse(query, no_location=True, max_tokens=_TOKEN_LIMIT)
        _check_size(tree)
    except graphql.GraphQLError as error:
        raise BadRequest(f"not GraphQL: {error.message}") from None
    except RecursionError:
        raise BadRequest("the request is nested too deeply") from None
    return tree


def _check_size(tree: graphql.DocumentNode) -> None:
    fragments = {node.name.value: node for node in tree.definitions if isinstance(node, graphql.FragmentDefinitionNode)}
    sizes: dict[str, tuple[int, int]] = {}
    open_fragments: set[str] = set()

    def measure(selections: graphql.SelectionSetNode | None) -> tuple[int, int]:
        """Return how many fields a selection stands for, and how deeply they nest."""
        size = depth = 0
        for node in selections.selections if selections else ():
            if isinstance(node, graphql.FragmentSpreadNode):
                inner_size, inner_depth = fragment(node.name.value)
            else:
                inner_size, inner_depth = measure(getattr(node, "selection_set", None))
                inner_size, inner_depth = inner_size + 1, inner_depth + 1
            size, depth = size + inner_size, max(depth, inner_depth)
        if size > _SELECTION_LIMIT or depth > _DEPTH_LIMIT:
            raise BadRequest(f"the request asks for over {_SELECTION_LIMIT} fields or nests over {_DEPTH_LIMIT} deep")
        return size, depth

    def fragment(name: str) -> tuple[int, int]:
        if name in open_fragments:
            raise BadRequest(f"fragment {name[:100]!r} contains itself")
        if name not in sizes:
            open_fragments.add(name)
            sizes[name] = measure(fragments[name].selection_set) if name in fragments else (0, 0)
            open_fragments.remove(name)
        return sizes[name]

    for node in tree.definitions:
        if isinstance(node, graphql.OperationDefinitionNode):
            measure(node.selection_set)
