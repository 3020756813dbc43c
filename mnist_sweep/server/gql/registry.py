"""Decorators that register resolvers: `@field("Run", "state")` and `@mutation("upsertBucket")`."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from graphql import GraphQLResolveInfo

from mnist_sweep.server.gql import ids
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store.store import Store
from mnist_sweep.server.sweeps.dispatcher import Dispatcher

Resolver = Callable[..., Any]
AnyResolver = TypeVar("AnyResolver", bound=Resolver)
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


def columns(type_name: str, **names: str) -> None:
    """Resolve fields from columns of a row: `columns("Run", displayName="display_name")`."""

    def reader(column: str) -> Resolver:
        return lambda source, _: source[column]

    for name, column in names.items():
        RESOLVERS[type_name, name] = reader(column)


def constants(type_name: str, **values: Any) -> None:
    """Resolve fields to constants."""

    def constant(value: Any) -> Resolver:
        return lambda source, _: value

    for name, value in values.items():
        RESOLVERS[type_name, name] = constant(value)


def identified(*type_names: str) -> None:
    """Resolve `id` to the row's opaque id."""

    def encoder(kind: str) -> Resolver:
        return lambda source, _: ids.encode(kind, source["id"])

    for name in type_names:
        RESOLVERS[name, "id"] = encoder(name)


def default(source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    """Resolve a field that has no resolver: from a mapping by its name, else to null."""
    return source.get(info.field_name) if isinstance(source, Mapping) else None
