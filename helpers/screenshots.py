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
                (folder / f"page-{width}-{scheme}.png").write_bytes(image(driver, width, scheme))


def write_small(path: Path, png: bytes) -> None:
    """Write an image in 256 colours, for whoever clones the project."""
    Image.open(BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


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


def image(driver: webdriver.Chrome, width: int, scheme: str, part: tuple[str, int] | None = None) -> bytes:
    """Return the page at a width as PNG: all of it, or from an element on so many pixels of it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < min(WIDTHS[1:])}
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    driver.get(PAGE.absolute().as_uri())
    drawn = "return document.documentElement.dataset.drawn"
    WebDriverWait(driver, 60).until(lambda one: one.execute_script(drawn) == scheme)
    element, height = part or ("header", driver.execute_script("return document.documentElement.scrollHeight"))
    top = driver.execute_script("return document.querySelector(arguments[0]).offsetTop", element)
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    taken = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
    )
    return b64decode(taken["data"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), everything=sys.argv[2:] == ["all"])
