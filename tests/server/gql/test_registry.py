"""Resolvers as GraphQL calls them, in a schema of this test's own."""

from dataclasses import replace
from typing import Any

import pytest
from graphql import GraphQLObjectType, build_schema, graphql_sync

from mnist_sweep.server.gql import ids, registry
from mnist_sweep.server.gql.registry import (
    Context,
    columns,
    constants,
    default,
    field,
    fields,
    given,
    listing,
    listings,
    mutation,
)
from mnist_sweep.server.store import Store, projects, runs
from mnist_sweep.server.store.rows import Run

SCHEMA = """
type Query { run: Run mapping: Run trial: Trial seed: Seed }
type Run { id: ID displayName: String title: String state(upper: Boolean): String kind: String other: String
  names(after: String, first: Int, prefix: String): Names }
type Trial { of: String }
type Seed { of: String }
type Names { totalCount: Int edges: [Name] }
type Name { node: String }
type Mutation { rename(input: Rename!): String }
input Rename { name: String! }
"""


@pytest.fixture(autouse=True)
def own_resolvers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "RESOLVERS", {})


def answer(query: str, context: object = None) -> dict[str, Any] | None:
    schema = build_schema(SCHEMA)
    for (type_name, name), resolver in registry.RESOLVERS.items():
        owner = schema.type_map[type_name]
        assert isinstance(owner, GraphQLObjectType)
        owner.fields[name].resolve = resolver
    result = graphql_sync(schema, query, context_value=context, field_resolver=default)
    assert not result.errors, result.errors
    return result.data


def test_fields_come_from_resolvers_columns_and_constants(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "team", "p").id
        row = Run.by_id(db, runs.create(db, project, "r", "running", display_name="brisk-harbor-1"))

    @field("Query", "run")
    def run(source: None, context: str) -> Any:
        assert (source, context) == (None, "the context")
        return row

    @field("Run", "state")
    def state(source: Any, context: str, upper: bool = False) -> str:
        return str(source.state.upper() if upper else source.state)

    columns("Run", title="display_name")
    constants("Run", kind="trial")
    found = answer("{ run { id displayName title kind state loud: state(upper: true) other } }", "the context")
    assert found == {
        "run": {
            "id": ids.encode("Run", row.id),
            "displayName": "brisk-harbor-1",
            "title": "brisk-harbor-1",
            "kind": "trial",
            "state": "running",
            "loud": "RUNNING",
            "other": None,  # a row has no such column
        }
    }


def test_a_mapping_needs_no_resolver() -> None:
    constants("Query", mapping={"displayName": "mine", "more": 1})
    assert answer("{ mapping { displayName kind } }") == {"mapping": {"displayName": "mine", "kind": None}}


def test_a_listing_answers_with_one_page() -> None:
    constants("Query", run={})

    @listing("Run", "names", 1)
    def names(source: Any, context: object, prefix: str = "") -> list[str]:
        return [f"{prefix}{letter}" for letter in "abc"]

    found = answer(
        "{ run { names { edges { node } }"
        ' two: names(after: "0", first: 2, prefix: "x") { totalCount edges { node } } } }'
    )
    assert found == {
        "run": {
            "names": {"edges": [{"node": "a"}]},
            "two": {"totalCount": 3, "edges": [{"node": "xb"}, {"node": "xc"}]},
        }
    }


def test_a_table_registers_a_resolver_per_type_and_field(store: Store, context: Context) -> None:
    with store.write() as db:
        row = Run.by_id(db, runs.create(db, projects.ensure(db, "team", "p").id, "r", "running"))
    constants("Query", run=row, trial=row, seed=row)
    fields(Run, kind=lambda row, _: f"{row.name} is a trial", title=lambda _, context: context.entity)
    fields(Run, "Trial", "Seed", of=lambda row, _: row.state)
    listings(Run, length=2, names=lambda row, _: [row.name, "b", "c"])
    assert answer("{ run { kind title names { totalCount edges { node } } } trial { of } seed { of } }", context) == {
        "run": {
            "kind": "r is a trial",
            "title": "team",
            "names": {"totalCount": 3, "edges": [{"node": "r"}, {"node": "b"}]},
        },
        "trial": {"of": "running"},
        "seed": {"of": "running"},
    }


def test_given_takes_what_is_not_null_by_column() -> None:
    assert given({"displayName": "x", "state": None, "host": ""}, "displayName", "state", "host", "notes") == {
        "display_name": "x",
        "host": "",
    }


def test_a_mutation_gets_the_context_and_its_input() -> None:
    @mutation("rename")
    def rename(context: str, input: dict[str, Any]) -> str:
        return f"{input['name']} in {context}"

    assert answer('mutation { rename(input: {name: "x"}) }', "p") == {"rename": "x in p"}
    assert rename("q", {"name": "y"}) == "y in q"  # the function itself is unchanged


def test_a_field_without_a_transaction_has_to_open_its_own(store: Store, context: Context) -> None:
    with pytest.raises(AssertionError, match="opens its own transactions"):
        _ = context.db
    with store.read() as db:
        assert replace(context, transaction=db).db is db
