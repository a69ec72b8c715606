"""DVC's plots as one page that needs no network: `make plots`, or beside a branch `make plots WITH=main`.

DVC's own page loads its scripts from a server; here they lie within.
"""

from pathlib import Path

import vl_convert

from stages.commands.dvc import dvc_output
from stages.commands.revisions import resolved
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file, write_text

TEMPLATE = Path(".dvc/tmp/plots.html")  # of DVC: {plot_divs} and {refresh_tag} are what it fills in
PAGE = Path("data/plots")
HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Plots</title>
{refresh_tag}
<script>%s</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def main(revision: str = "") -> None:
    """Write the plots of the study in this folder, beside those of another revision or experiment if one is named."""
    if revision and not resolved(revision):
        raise UserError(  # DVC would pass over it
            f"WITH={revision} is no branch, tag or commit of this repository, and no experiment"
        )
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    with atomic_file(TEMPLATE) as unfinished:
        unfinished.write_text(HTML % scripts, encoding="utf-8")
    words = ["diff", revision] if revision else ["show"]
    dvc_output("plots", *words, "--html-template", str(TEMPLATE), "-o", str(PAGE))
    page = PAGE / "index.html"
    # a class may be called so; a browser would then take all that follows for a part of the script
    write_text(page, page.read_text(encoding="utf-8").replace("<!--", r"\u003c!--"))
    print(page)


if __name__ == "__main__":
    run_stage(main)
