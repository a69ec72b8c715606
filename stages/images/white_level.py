"""Find which value is white in a set's images of 16 bits a channel, where no file says so."""

from functools import partial
from pathlib import Path

from stages.images.bit_depth import MAX_16_BIT, may_be_high_bit_depth
from stages.images.reading import max_value
from stages.runtime.names import printable
from stages.runtime.parallel import parallel_map

OUTLIER_SHARE = 0.05  # of the images: so few that are brighter than all others may be another camera's


def find_white_level(files: list[Path], pixel_limit: int) -> int:
    """Return the white of all images of 16 bits a channel, and say what was found.

    It is the highest value of as many bits as the brightest image needs: one for all of them, so that brightness
    still tells classes apart.
    """
    candidates = [file for file in files if may_be_high_bit_depth(file)]
    maxima = parallel_map(partial(max_value, pixel_limit=pixel_limit), candidates, "white level") if candidates else []
    brightness = {file: value for file, value in zip(candidates, maxima, strict=True) if value}
    if not brightness:
        return MAX_16_BIT
    brightest = max(brightness.values())
    white = (1 << max(8, brightest.bit_length())) - 1
    print(
        f"{len(brightness)} images have 16 bits a channel; the brightest value in them is {brightest}, so {white} is"
        " white (prepare.white_level: auto)"
    )
    brighter = sorted(file for file, value in brightness.items() if value > white // 2)
    if len(brighter) < OUTLIER_SHARE * len(brightness):
        example = printable(str(brighter[0]))
        print(
            f"only {len(brighter)} of them need {white.bit_length()} bits, {example} for one: if they are not like the"
            " others, which may come out dark, remove them or set prepare.white_level"
        )
    return white
