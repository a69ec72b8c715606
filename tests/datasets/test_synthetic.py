"""The offline field guide: what its species and images are promised to be."""

import cv2
import numpy as np
import pytest

from stages.datasets.common.selection import Selection
from stages.datasets.field_guide.drawing import CURVES, LINES, draw
from stages.datasets.field_guide.species import ATTRIBUTES, CHANGES, FAMILY_SIZE, Species, field_guide
from stages.datasets.synthetic import Settings, encoded_drawing, fetch
from stages.runtime.errors import UserError
from tests.datasets.conftest import files_below

SEED = 7


def settings(species=4, images_per_class=3, image_size=32):
    return Settings(species=species, images_per_class=images_per_class, image_size=image_size)


def class_names(count):
    return [species.name for species in field_guide(count, SEED)]


def differences(one: Species, other: Species):
    return [name for name in ATTRIBUTES if one.values[name] != other.values[name]]


def test_the_seed_decides_the_field_guide_and_every_image():
    """An image is the same each time it is drawn, whatever was drawn before it; another seed gives other birds."""
    species = field_guide(2, SEED)
    first = encoded_drawing((SEED, species[1], 5, 48))
    draw(SEED, species[0], 0, 48)
    assert encoded_drawing((SEED, field_guide(2, SEED)[1], 5, 48)) == first
    assert species[0].values != field_guide(2, SEED + 1)[0].values
    assert not np.array_equal(draw(SEED, species[0], 0, 32), draw(SEED + 1, species[0], 0, 32))


def test_a_species_does_not_depend_on_how_many_there_are():
    """The first species of a large field guide are those of a small one, in name and in image."""
    few, many = field_guide(6, SEED), field_guide(200, SEED)
    assert many[:6] == few
    assert class_names(6) == class_names(200)[:6]
    assert np.array_equal(draw(SEED, few[5], 1, 32), draw(SEED, many[5], 1, 32))


def test_a_thousand_names_are_unique_sorted_and_fit_any_file_system():
    """Names of 1,000 species are unique, in name drawing, and safe as names of folders."""
    names = class_names(1000)
    assert len(names) == 1000
    assert len({name.lower() for name in names}) == 1000
    assert names == sorted(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for name in names)


def test_a_name_states_an_attribute_of_its_species():
    """A bird is named after what it has: an Azure-crowned one has an azure crown."""
    for species in field_guide(40, SEED):
        value, suffix = species.name.split(".")[1].split("_")[0].split("-")
        assert value in {species.values[name] for name, (word, _, _) in ATTRIBUTES.items() if word == suffix}


def test_siblings_differ_in_few_attributes_and_no_two_are_alike():
    """Within a family each bird differs from the first in one to three attributes, and from all others in some."""
    guide = field_guide(50 * FAMILY_SIZE, SEED)
    for first in range(0, len(guide), FAMILY_SIZE):
        family = guide[first : first + FAMILY_SIZE]
        assert all(CHANGES[0] <= len(differences(family[0], sibling)) <= CHANGES[1] for sibling in family[1:])
        assert all(differences(one, other) for i, one in enumerate(family) for other in family[:i])


def test_every_value_of_an_attribute_that_marks_a_bird_is_drawn():
    """No two values of a mark or shape look alike because a drawing is missing; only Plain and Smooth draw nothing."""
    drawn = {tuple(name.split()) for name in (*CURVES, *LINES) if " " in name}
    for name in {name for name, _ in drawn}:
        undrawn = {value for value in ATTRIBUTES[name][2] if (name, value) not in drawn}
        assert undrawn <= {"Plain", "Smooth"}


@pytest.mark.parametrize("size", [32, 33, 512])
def test_images_have_the_asked_for_size(size):
    """An image is a square of uint8 RGB pixels of any allowed size, with something to see in it."""
    image = draw(SEED, field_guide(2, SEED)[0], 0, size)
    assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
    assert image.std() > 5


def test_every_bird_can_be_drawn_and_no_two_are_alike():
    """Whatever the family, marks and pose, drawing succeeds, and individuals of a species differ."""
    for species in field_guide(60, SEED):
        assert draw(SEED, species, 0, 32).shape == (32, 32, 3)
    assert len({draw(SEED, species, number, 32).tobytes() for number in range(20)}) == 20


def test_fetch_writes_exactly_what_was_asked_for(tmp_path):
    """Only the chosen classes are written, with as many readable images of the asked-for size each."""
    names = class_names(4)
    fetch(settings(), Selection([names[1], names[3]]), SEED, tmp_path)
    files = files_below(tmp_path)
    assert set(files) == {f"{name}/{number:04d}.jpg" for name in (names[1], names[3]) for number in range(3)}
    for jpeg in files.values():
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (32, 32, 3)


def test_the_number_of_workers_changes_no_byte(tmp_path, monkeypatch):
    """One process and two write the same files."""
    for workers in ("1", "2"):
        monkeypatch.setenv("STUDY_WORKERS", workers)
        fetch(settings(images_per_class=9), Selection(), SEED, tmp_path / workers)
    assert files_below(tmp_path / "1") == files_below(tmp_path / "2")


def test_a_class_that_is_not_in_the_field_guide_is_named(tmp_path):
    """Asking for a species that does not exist says which, and writes nothing."""
    with pytest.raises(UserError, match="Dodo"):
        fetch(settings(), Selection(["0001.Dodo", class_names(4)[0]]), SEED, tmp_path)
    assert files_below(tmp_path) == {}
