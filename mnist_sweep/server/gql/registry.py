"""Decorators and tables that register resolvers.

    @field("Run", "history")                                    any field
    @listing("Run", "files")                                    a field that answers with one page of a list
    @mutation("upsertBucket")
    fields(Run, failed=lambda row, _: row.state == "failed")    fields without arguments
    listings(Artifact, usedBy=lambda row, context: …)           lists without arguments of their own
    columns("Run", summaryMetrics="summary")                    fields from columns with another name
    constants("Run", readOnly=False)

A field without a resolver is a column of its row: `displayName` is `display_name` (`default`).
"""

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from graphql import GraphQLResolveInfo

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store.rows import Row
from mnist_sweep.server.store.store import Store
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

Resolver = Callable[..., Any]
AnyResolver = TypeVar("AnyResolver", bound=Resolver)
RowT = TypeVar("RowT", bound=Row)
RESOLVERS: dict[tuple[str, str], Resolver] = {}


@dataclass(frozen=True)
class Context:
    """What resolvers need during one request."""

    store: Store
    signed_urls: SignedUrls
    dispatcher: Dispatcher
    entity: str
    """The entity of requests that name none."""
    caller: str | None
    """The task of a cluster that sends the request, as its header names it (`leases`)."""
    transaction: sqlite3.Connection | None
    """A writing one for mutations, else a reading one; None if a field opens its own (`execute.transaction`)."""

    @property
    def db(self) -> sqlite3.Connection:
        """The request's transaction."""
        assert self.transaction is not None, "this field opens its own transactions"
        return self.transaction


def field(type_name: str, name: str) -> Callable[[AnyResolver], AnyResolver]:
    """Register `resolver(source, context, **arguments)` for a field."""

    def register(resolver: AnyResolver) -> AnyResolver:
        def call(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            return resolver(source, info.context, **arguments)

        RESOLVERS[type_name, name] = call
        return resolver

    return register


def mutation(name: str) -> Callable[[AnyResolver], AnyResolver]:
    """Register `resolver(context, input)` for a mutation."""

    def register(resolver: AnyResolver) -> AnyResolver:
        def call(_: Any, info: GraphQLResolveInfo[Any], input: dict[str, Any]) -> Any:
            return resolver(info.context, input)

        RESOLVERS["Mutation", name] = call
        return resolver

    return register


def listing(type_name: str, name: str, length: int | None = None) -> Callable[[AnyResolver], AnyResolver]:
    """Register a resolver that returns a list, for a field that answers with one page of it (`after`, `first`).

    `length` is the length of a page if the request names none.
    """

    def register(resolver: AnyResolver) -> AnyResolver:
        def call(
            source: Any,
            info: GraphQLResolveInfo[Any],
            after: str | None = None,
            first: int | None = None,
            **arguments: Any,
        ) -> Any:
            return slice_page(resolver(source, info.context, **arguments), after, length if first is None else first)

        RESOLVERS[type_name, name] = call
        return resolver

    return register


def fields(row: type[RowT], /, *types: str, **resolvers: Callable[[RowT, Context], Any]) -> None:
    """Register `resolver(row, context)` for fields without arguments: `fields(Run, failed=lambda row, _: …)`.

    `types` are the GraphQL types of the row, by default the one with its class's name.
    """
    for type_name in types or (row.__name__,):
        for name, resolver in resolvers.items():
            field(type_name, name)(resolver)


def listings(
    row: type[RowT], /, *types: str, length: int | None = None, **resolvers: Callable[[RowT, Context], list[Any]]
) -> None:
    """Like `fields`, but for lists, of which each field answers with one page (`listing`)."""
    for type_name in types or (row.__name__,):
        for name, resolver in resolvers.items():
            listing(type_name, name, length)(resolver)


def columns(type_name: str, **names: str) -> None:
    """Resolve fields from columns with another name: `columns("Run", summaryMetrics="summary")`."""

    def reader(column: str) -> Resolver:
        return lambda source, _: getattr(source, column)

    for name, column in names.items():
        RESOLVERS[type_name, name] = reader(column)


def constants(type_name: str, **values: Any) -> None:
    """Resolve fields to constants."""

    def constant(value: Any) -> Resolver:
        return lambda source, _, **arguments: value

    for name, value in values.items():
        RESOLVERS[type_name, name] = constant(value)


@lru_cache(maxsize=1024)
def column_of(name: str) -> str:
    """Return the column that stores a field of this name: `display_name` for `displayName`."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda match: f"_{match[0].lower()}", name)


def given(input: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the values of a mutation's input, by column, that are there and not null."""
    return {column_of(name): input[name] for name in names if input.get(name) is not None}


def default(source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    """Resolve a field that has no resolver: to a row's opaque id or column, a mapping's value by its name, or null."""
    if isinstance(source, Row):
        if info.field_name == "id":
            return ids.encode(info.parent_type.name, source.id)
        return vars(source).get(column_of(info.field_name))
    return source.get(info.field_name) if isinstance(source, Mapping) else None
