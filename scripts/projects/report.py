"""Create a report with every kind of panel that wandb_workspaces has for runs: `python report.py PROJECT SWEEP`."""

import sys

import wandb
import wandb_workspaces.reports.v2 as wr


def main(project: str, sweep: str) -> str:
    runs = wr.Runset(
        wandb.Api().default_entity,
        project,
        filters=f"Sweep = '{sweep}'",
        order=[wr.OrderBy(wr.SummaryMetric("loss"), ascending=True)],
    )
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config("model.trees")),
        wr.ParallelCoordinatesPlotColumn(wr.Config("model.depth")),
        wr.ParallelCoordinatesPlotColumn(wr.Config("optimizer.rate"), log=True),
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("loss")),
    ]
    panels = [
        wr.LinePlot(title="Loss", y=["loss"], smoothing_factor=0.3, layout=wr.Layout(w=12, h=8)),
        wr.ScatterPlot(
            title="Loss by rate",
            x=wr.Config("optimizer.rate"),
            y=wr.SummaryMetric("loss"),
            log_x=True,
            layout=wr.Layout(x=12, w=12, h=8),
        ),
        wr.ParallelCoordinatesPlot(columns=columns, title="The search", layout=wr.Layout(y=8, w=24, h=9)),
        wr.ParameterImportancePlot(with_respect_to="loss", layout=wr.Layout(y=17, w=12, h=8)),
        wr.BarPlot(title="Loss of each run", metrics=["loss"], layout=wr.Layout(x=12, y=17, w=12, h=8)),
        wr.ScalarChart(title="Best loss", metric="loss", layout=wr.Layout(y=25, w=8, h=4)),
        wr.RunComparer(diff_only=True, layout=wr.Layout(y=29, w=24, h=9)),
        wr.MediaBrowser(media_keys=["roc"], layout=wr.Layout(y=38, w=24, h=9)),
    ]
    report = wr.Report(
        project=project,
        title="Boosting on wine",
        description="What the search found",
        blocks=[
            wr.H1("What was asked"),
            wr.P("How many trees, how deep, how fast."),
            wr.PanelGrid(runsets=[runs], panels=panels),
            wr.H2("What to ask next"),
            wr.UnorderedList(items=["Fewer trees with a higher rate?", "Another split of the data?"]),
        ],
    )
    report.save()
    return str(report.url)


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
