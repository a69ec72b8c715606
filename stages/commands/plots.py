"""DVC's plots as one page that needs no network: `make plots`, or beside a branch `make plots WITH=main`.

DVC's own page loads its scripts from a server; here they lie within.
"""

import subprocess
from pathlib import Path

import vl_convert

from stages.commands.dvc import dvc_output
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file

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
    """Write the plots of the study in this folder, with `revision` beside those of that branch, tag or commit."""
    known = ["git", "rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}"]
    if revision and subprocess.run(known, capture_output=True, check=False).returncode:  # noqa: S603 - no shell
        raise UserError(f"WITH={revision} is no branch, tag or commit of this repository")  # DVC would pass over it
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    with atomic_file(TEMPLATE) as unfinished:
        unfinished.write_text(HTML % scripts, encoding="utf-8")
    words = ["diff", revision] if revision else ["show"]
    dvc_output("plots", *words, "--html-template", str(TEMPLATE), "-o", str(PAGE))
    print(f"{PAGE / 'index.html'}")


if __name__ == "__main__":
    run_stage(main)
