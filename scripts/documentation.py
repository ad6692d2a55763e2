"""Hooks of `mkdocs build`: the pages of the site are the repository's own files.

The site has the repository's layout, so that relative links work in both, and MkDocs checks them.
"""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SOURCES = (
    *("README.md", "CONTRIBUTING.md", "EXPERIMENTS.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"),
    *("docs/**/*.md", "docs/*.css", "docs/*.js", "docs/figures/*", "examples/*.*"),
    "scripts/documentation.py",
    *("deblur/assets/*/*.md", "deblur/assets/*/*.csv", "deblur/assets/examples/*.*g"),
)
"""The files of the site, including those that its pages link to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of `docs_dir` with those of the repository; add notebooks as pages."""
    root = Path(config.config_file_path).parent
    found = [file for file in files if file.src_dir != config.docs_dir]
    for path in sorted({path for pattern in SOURCES for path in root.glob(pattern)}):
        name = path.relative_to(root).as_posix()
        found.append(File(name, str(root), config.site_dir, config.use_directory_urls))
        if path.suffix == ".ipynb":
            page = name.removesuffix(".ipynb") + ".md"
            found.append(File.generated(config, page, content=write_notebook(path)))
    return Files(found)


def write_notebook(path: Path) -> str:
    """Return a notebook's cells as Markdown, and a link to the notebook after its title."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    fenced = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts)
    ]
    title, _, rest = fenced[0].partition("\n")
    return "\n\n".join([title, f"[Download the notebook]({path.name})", rest, *fenced[1:]])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links to notebooks lead to their pages."""
    if page.file.src_uri.startswith("examples/"):
        return markdown
    return markdown.replace(".ipynb)", ".md)")
