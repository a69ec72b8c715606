"""Images of the report's page, as docs/ shows them: data/report/index.html in a real browser without a window.

    python -m helpers.screenshots docs          # docs/page.png and docs/page-dark.png
    python -m helpers.screenshots /tmp/all all  # the whole page at 360, 768 and 1440 pixels, light and dark

Needs Selenium, which `make test` installs, and Chromium with its driver (Debian: apt-get install chromium
chromium-driver).
"""

import shutil
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

PAGE = Path("data/report/index.html")
WIDTHS, SCHEMES = (360, 768, 1440), ("light", "dark")
WIDTH = 1100  # pixels of the page that docs/ show
TALLEST = 8_000  # pixels that Chromium draws at a time; what lies beyond twice as many stays empty


def main(folder: Path, everything: bool) -> None:
    """Write the images to a folder."""
    if not PAGE.exists():
        sys.exit(f"{PAGE} is missing; `dvc repro` makes it")
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as driver:
        if not everything:
            write_small(folder / "page.png", image(driver, WIDTH, "light", ("header", 1530)))
            write_small(folder / "page-dark.png", image(driver, WIDTH, "dark", ("#examples", 1000)))
            return
        for width in WIDTHS:
            for scheme in SCHEMES:
                image(driver, width, scheme).save(folder / f"page-{width}-{scheme}.png")
                print(folder / f"page-{width}-{scheme}.png")


def write_small(path: Path, shown: Image.Image) -> None:
    """Write an image in 256 colours, for whoever clones the project."""
    shown.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Give a browser; it ends with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def image(driver: webdriver.Chrome, width: int, scheme: str, part: tuple[str, int] | None = None) -> Image.Image:
    """Return the page at a width: all of it, or from an element on so many pixels of it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < min(WIDTHS[1:])}
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    driver.get(PAGE.absolute().as_uri())
    drawn = "return document.documentElement.dataset.drawn"
    WebDriverWait(driver, 60).until(lambda one: one.execute_script(drawn) == scheme)
    element, height = part or ("header", driver.execute_script("return document.documentElement.scrollHeight"))
    top = driver.execute_script("return document.querySelector(arguments[0]).offsetTop", element)
    whole = Image.new("RGB", (width, height))
    for below in range(0, height, TALLEST):
        clip = {"x": 0, "y": top + below, "width": width, "height": min(TALLEST, height - below), "scale": 1}
        taken = driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        whole.paste(Image.open(BytesIO(b64decode(taken["data"]))), (0, below))
    return whole


if __name__ == "__main__":
    main(Path(sys.argv[1]), everything=sys.argv[2:] == ["all"])
