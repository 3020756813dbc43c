"""Write the table of RunConfig's fields into docs/configuration.md:  python -m scripts.configuration

A test checks that the table is current.
"""

from pathlib import Path

from mnist_sweep.config import RunConfig, allowed

START, END = "<!-- fields -->\n", "<!-- /fields -->"
PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"


def table() -> str:
    """Return the fields as a Markdown table."""
    rows = ["| field | values | default | meaning |", "| -- | -- | -- | -- |"]
    for name, field in RunConfig.model_fields.items():
        values = (
            allowed(field)
            .removeprefix("a number ")
            .removeprefix("a ")
            .replace("step1, step2, step3, step4, step5, step6, step7, step8", "step1 … step8")
        )
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{name}` | {values} | {default} | {field.description} |")
    return "\n".join(rows)


def current(text: str) -> str:
    """Return `text` with the table between its markers replaced by the current one."""
    before, rest = text.split(START)
    return f"{before}{START}\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
