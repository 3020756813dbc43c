"""Reports and workspaces."""

import pytest

from mnist_sweep.server.errors import NotFound
from mnist_sweep.server.store import Store, projects, views
from mnist_sweep.server.store.rows import View


def test_views_are_created_listed_updated_and_deleted(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        report = views.create(db, project, "runs", "r", "{}")
        draft = views.create(db, project, "runs/draft", "r", "{}")
        views.create(db, project, "project-view", "w", "{}")
        assert [row.id for row in views.listing(db, project, "runs")] == [draft, report]
        assert [row.name for row in views.listing(db, project, name="w")] == ["w"]
        View.set(db, report, display_name="Title", spec='{"a":1}')
        row = View.by_id(db, report)
        assert (row.display_name, row.spec, row.name) == ("Title", '{"a":1}', "r")
        View.delete(db, report)
        with pytest.raises(NotFound):
            View.by_id(db, report)
